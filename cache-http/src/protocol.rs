//! The build tools' protocols, one file each. A new one is a file, and a line in [`MOUNTS`].

mod ac;
mod bazel;
mod cas;
mod ccache;

use std::borrow::Cow;

use axum::http::StatusCode;
use cache::Digest;

use crate::refused::Refused;

/// The protocols that are served.
const MOUNTS: &[Mount] = &[cas::MOUNT, ac::MOUNT, bazel::MOUNT, ccache::MOUNT];

/// Names that are, or will be, routes of their own, so that no namespace may be called so.
const RESERVED: &[&str] = &[
    "ac", "bazel", "cas", "ccache", "dav", "gradle", "healthz", "metrics", "nx", "sccache", "status",
    "turbo", "v1", "v8",
];

/// The namespace of a path that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// One protocol: what its paths are called, and what they mean.
struct Mount {
    /// The path's first part, or its second after a namespace.
    name: &'static str,
    /// What the parts after it address.
    locate: fn(&[Cow<'_, str>]) -> Result<Place, Refused>,
}

/// What a path below a mount addresses.
struct Place {
    /// The namespace below the client's own.
    space: &'static [&'static str],
    digest: Digest,
    content: Content,
}

/// What a stored body must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Any bytes.
    Opaque,
    /// Bytes whose SHA-256 is the digest that they are stored under.
    Addressed,
}

/// What a whole path addresses.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// The client's own namespace, not checked yet.
    pub(crate) namespace: Cow<'a, str>,
    /// Where the mount stores below it.
    pub(crate) space: &'static [&'static str],
    pub(crate) digest: Digest,
    pub(crate) content: Content,
}

/// Finds what the parts of a path address.
pub(crate) fn find<'a>(parts: &[Cow<'a, str>]) -> Result<Target<'a>, Refused> {
    let (namespace, mount, key) = match parts {
        [first, key @ ..] if mount_named(first).is_some() => (None, mount_named(first), key),
        [first, ..] if RESERVED.contains(&&**first) => (None, None, [].as_slice()),
        [first, second, key @ ..] => (Some(first), mount_named(second), key),
        _ => (None, None, [].as_slice()),
    };
    let Some(mount) = mount else { return Err(Refused::unknown_route()) };
    if key.iter().all(|part| part.is_empty()) {
        return Err(Refused::unknown_route());
    }
    let bytes: usize = key.iter().map(|part| part.len() + 1).sum();
    if bytes > MAX_KEY_BYTES + 1 {
        return Err(malformed(format!("a key has at most {MAX_KEY_BYTES} bytes")));
    }
    let Place { space, digest, content } = (mount.locate)(key)?;
    let namespace = namespace.cloned().unwrap_or(Cow::Borrowed(DEFAULT_NAMESPACE));
    Ok(Target { namespace, space, digest, content })
}

fn mount_named(name: &str) -> Option<&'static Mount> {
    MOUNTS.iter().find(|mount| mount.name == name)
}

/// The key of a mount whose keys are digests.
fn digest_key(key: &[Cow<'_, str>]) -> Result<Digest, Refused> {
    match key {
        [digest] => digest.parse().map_err(Refused::from),
        _ => Err(Refused::unknown_route()),
    }
}

fn malformed(text: impl Into<Cow<'static, str>>) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests;
