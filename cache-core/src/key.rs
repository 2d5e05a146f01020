use std::{fmt, str::FromStr};

use crate::{Digest, DigestPrefix, Error, Namespace, Result};

/// The whole address of an entry: a digest in a namespace.
///
/// Keys order by the encoded namespace, then by the digest: the order of a recursive listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where the digest is looked up.
    pub namespace: Namespace,
    /// What names the artifact.
    pub digest: Digest,
}

impl Key {
    /// The key of `digest` in `namespace`.
    #[must_use]
    pub fn new(namespace: Namespace, digest: Digest) -> Self {
        Self { namespace, digest }
    }

    /// The same address, borrowed.
    #[must_use]
    pub fn view(&self) -> KeyView<'_> {
        KeyView { namespace: &self.namespace, digest: &self.digest }
    }
}

/// A [`Key`] whose parts are borrowed: what a hit needs no clone of a namespace for.
///
/// ```
/// use cache_core::{Digest, Key, KeyView, Namespace};
///
/// let (namespace, digest) = (Namespace::root().child("compile")?, Digest::of("main.c"));
/// let view = KeyView { namespace: &namespace, digest: &digest };
/// assert_eq!(view.to_key(), Key::new(namespace.clone(), digest));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyView<'a> {
    /// Where the digest is looked up.
    pub namespace: &'a Namespace,
    /// What names the artifact.
    pub digest: &'a Digest,
}

impl KeyView<'_> {
    /// The key, for whoever keeps it.
    #[must_use]
    pub fn to_key(self) -> Key {
        Key::new(self.namespace.clone(), *self.digest)
    }
}

impl From<Digest> for Key {
    /// The key of `digest` in the root namespace.
    fn from(digest: Digest) -> Self {
        Self::new(Namespace::root(), digest)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_root() {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}", self.digest)
    }
}

/// A digest as a user may write it: all of it, or its first digits.
///
/// ```
/// use cache_core::{Digest, KeyRef};
///
/// let digest = Digest::of(b"abc");
/// assert_eq!(digest.to_string().parse::<KeyRef>()?, KeyRef::Digest(digest));
/// assert!(matches!("ba78".parse::<KeyRef>()?, KeyRef::Prefix(_)));
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRef {
    /// All 64 digits.
    Digest(Digest),
    /// 1 to 63 digits.
    Prefix(DigestPrefix),
}

impl From<Digest> for KeyRef {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<&Digest> for KeyRef {
    fn from(digest: &Digest) -> Self {
        Self::Digest(*digest)
    }
}

impl From<DigestPrefix> for KeyRef {
    fn from(prefix: DigestPrefix) -> Self {
        prefix.as_digest().map_or(Self::Prefix(prefix), Self::Digest)
    }
}

impl FromStr for KeyRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse::<DigestPrefix>().map(Self::from)
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}
