use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::{Error, Result, component};

/// The name of one value inside an entry, such as `stdout`; by default `data`.
///
/// The rule is that of one namespace part: 1 to 64 bytes of UTF-8 without separators, NUL or
/// control characters, not `.` or `..`. Clones are cheap.
///
/// ```
/// use cache_core::BlobName;
///
/// assert_eq!(BlobName::default().as_str(), "data");
/// assert_eq!(BlobName::new("exit_code")?.encoded(), "~exit_code");
/// assert!(BlobName::new("a/b").is_err());
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone)]
pub struct BlobName(Repr);

#[derive(Clone)]
enum Repr {
    Data,
    Named(Arc<str>),
}

impl BlobName {
    /// The name that is meant when none is given.
    pub const DATA: Self = Self(Repr::Data);

    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if `name` breaks the rule for names.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        component::check("a blob name", name)?;
        Ok(Self::known(name))
    }

    fn known(name: &str) -> Self {
        if name == "data" { Self::DATA } else { Self(Repr::Named(name.into())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Data => "data",
            Repr::Named(name) => name,
        }
    }

    /// The name as it is stored: `~` and its percent-encoding.
    #[must_use]
    pub fn encoded(&self) -> String {
        component::encode(self.as_str())
    }

    /// Reads an encoded name back; `None` for anything that is not one.
    #[must_use]
    pub fn decode(encoded: &str) -> Option<Self> {
        component::decode(encoded).map(|name| Self::known(&name))
    }
}

impl Default for BlobName {
    fn default() -> Self {
        Self::DATA
    }
}

impl Borrow<str> for BlobName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for BlobName {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Data, Repr::Data) => true,
            (Repr::Named(a), Repr::Named(b)) => a == b,
            // A name that is `data` is never kept otherwise.
            _ => false,
        }
    }
}

impl Eq for BlobName {}

impl PartialOrd for BlobName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BlobName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::hash::Hash for BlobName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl FromStr for BlobName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl TryFrom<&str> for BlobName {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobName({self})")
    }
}
