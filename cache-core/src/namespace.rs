use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, Result, component};

/// Where a digest is looked up: a path of zero or more names.
///
/// Every name is 1 to 64 bytes of UTF-8 without separators (`/`, `\`), NUL or control characters,
/// and is not `.` or `..`. The path is kept encoded, as it stands on disk and in object stores: each
/// name as `~` and its percent-encoding over a lower-case safe set, joined by `/`, at most 512 bytes
/// in all. Namespaces order by the bytes of that encoding. Clones are cheap.
///
/// ```
/// use cache_core::Namespace;
///
/// let compile = Namespace::root().child("team")?.child("compile")?;
/// assert_eq!(compile.to_string(), "team/compile");
/// assert_eq!(compile.encoded(), "~team/~compile");
/// assert!(Namespace::root().child("..").is_err());
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Namespace {
    /// `None` for the root, which all callers have: a count that they share would go from core to core.
    encoded: Option<Arc<str>>,
    hash: u64,
}

impl Namespace {
    /// The longest encoded path, in bytes.
    pub const MAX_ENCODED_BYTES: usize = 512;

    /// The namespace without a name; all others are below it.
    #[must_use]
    pub fn root() -> Self {
        Self::from_encoded("")
    }

    /// The namespace `name` below this one.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if `name` breaks the rule for names, or if the path
    /// grows too long.
    pub fn child(&self, name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        component::check("a namespace part", name)?;
        self.join_encoded(&component::encode(name))
    }

    /// `inner` below this namespace.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if the path grows too long.
    pub fn join(&self, inner: &Self) -> Result<Self> {
        match (self.is_root(), inner.is_root()) {
            (true, _) => Ok(inner.clone()),
            (_, true) => Ok(self.clone()),
            _ => self.join_encoded(inner.encoded()),
        }
    }

    fn join_encoded(&self, tail: &str) -> Result<Self> {
        let path = if self.is_root() { tail.to_owned() } else { format!("{}/{tail}", self.encoded()) };
        if path.len() > Self::MAX_ENCODED_BYTES {
            return Err(Error::invalid(format!(
                "a namespace has at most {} bytes when encoded, this one has {}",
                Self::MAX_ENCODED_BYTES,
                path.len()
            )));
        }
        Ok(Self::from_encoded(&path))
    }

    fn from_encoded(encoded: &str) -> Self {
        let shared = (!encoded.is_empty()).then(|| Arc::from(encoded));
        Self { encoded: shared, hash: xxh3_64(encoded.as_bytes()) }
    }

    /// Reads an encoded path back; `None` for anything that is not one.
    ///
    /// Backends use it to tell their own directories and prefixes from strangers.
    #[must_use]
    pub fn decode(encoded: &str) -> Option<Self> {
        let valid = encoded.len() <= Self::MAX_ENCODED_BYTES
            && (encoded.is_empty() || encoded.split('/').all(|part| component::decode(part).is_some()));
        valid.then(|| Self::from_encoded(encoded))
    }

    /// The path as it is stored: `~name/~name`, empty for the root.
    #[must_use]
    pub fn encoded(&self) -> &str {
        self.encoded.as_deref().unwrap_or_default()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.encoded.is_none()
    }

    /// Whether `other` is this namespace or lies below it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.is_root()
            || other
                .encoded()
                .strip_prefix(self.encoded())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The names of the path, outermost first.
    #[must_use]
    pub fn parts(&self) -> Vec<String> {
        self.encoded().split('/').filter_map(component::decode).collect()
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self::root()
    }
}

impl PartialEq for Namespace {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && match (&self.encoded, &other.encoded) {
                (None, None) => true,
                (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs) || ours == theirs,
                _ => false,
            }
    }
}

impl Eq for Namespace {}

impl PartialOrd for Namespace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Namespace {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.encoded, &other.encoded) {
            (None, None) => Ordering::Equal,
            (Some(ours), Some(theirs)) if Arc::ptr_eq(ours, theirs) => Ordering::Equal,
            _ => self.encoded().cmp(other.encoded()),
        }
    }
}

impl Hash for Namespace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl FromStr for Namespace {
    type Err = Error;

    /// Names joined by `/`; the empty text is the root.
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        text.split('/').try_fold(Self::root(), |namespace, part| namespace.child(part))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.parts().join("/"))
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespace({self})")
    }
}

#[cfg(test)]
mod tests;
