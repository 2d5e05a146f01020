//! What the environment says. No other file of this crate reads it.

use std::{env, path::PathBuf};

/// Where this user's artifacts are kept where nothing else is said: `digest-cache` in `$XDG_CACHE_HOME`, else in
/// `~/.cache`. `None` if the environment names neither.
#[must_use]
pub fn default_directory() -> Option<PathBuf> {
    // The XDG rule: a path that is not absolute does not count.
    let absolute = |name| read(name).filter(|path| path.is_absolute());
    let home = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(home.join("digest-cache"))
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
fn read(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from)
}
