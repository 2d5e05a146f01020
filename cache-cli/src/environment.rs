//! What the environment says. No other file reads it.

use std::{env, ffi::OsString};

use crate::failure::Failure;

/// The stores named by `CACHE_STORE`: URLs separated by white space. `None` if it names none.
pub(crate) fn stores() -> Result<Option<Vec<String>>, Failure> {
    let stores: Vec<String> =
        text("CACHE_STORE")?.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    Ok((!stores.is_empty()).then_some(stores))
}

/// The token that clients must present, from `CACHE_TOKEN`.
pub(crate) fn token() -> Result<Option<String>, Failure> {
    text("CACHE_TOKEN")
}

fn text(name: &str) -> Result<Option<String>, Failure> {
    read(name)
        .map(OsString::into_string)
        .transpose()
        .map_err(|_| Failure::because(format!("{name} is not valid UTF-8")))
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
fn read(name: &str) -> Option<OsString> {
    env::var_os(name)
}
