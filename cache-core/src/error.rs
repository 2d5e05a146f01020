use std::{borrow::Cow, error::Error as StdError, fmt, io, sync::Arc};

use crate::{Digest, DigestPrefix, Key};

/// The result of every operation of a cache.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about a failure. A miss is not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A digest that had to exist does not (`expand`, `shrink`). Compute the artifact.
    #[error("not found")]
    NotFound,
    /// A short digest matches several entries. Give more digits.
    #[error("ambiguous digest")]
    Ambiguous,
    /// Bad argument or configuration. Fix the caller; retrying cannot help.
    #[error("invalid request")]
    Invalid,
    /// A value is over a limit of the store. Nothing was changed.
    #[error("too large")]
    TooLarge,
    /// Stored bytes are damaged. Treat as a miss and write again.
    #[error("stored bytes are corrupt")]
    Corrupt,
    /// The backend refuses access. Fix permissions or credentials.
    #[error("access denied")]
    Denied,
    /// The backend is unreachable or fails. Retry, or compute without the cache.
    #[error("backend unavailable")]
    Unavailable,
    /// The operation took longer than its deadline. Retry, or compute without the cache.
    #[error("deadline exceeded")]
    Timeout,
    /// The backend is full. Free space or lower the limits.
    #[error("no space left")]
    NoSpace,
    /// Another process holds the store. Wait, or open another one.
    #[error("locked by another process")]
    Locked,
    /// The store does not have this power. See [`StoreInfo::powers`](crate::StoreInfo::powers).
    #[error("unsupported by this store")]
    Unsupported,
    /// The store was closed. Open it again.
    #[error("store is closed")]
    Closed,
    /// A typed value could not be encoded or decoded.
    #[error("codec failed")]
    Codec,
    /// The computation of a missing value failed.
    #[error("computation failed")]
    Compute,
    /// A bug in the store. Please report it.
    #[error("internal error")]
    Internal,
}

/// The two smallest digests that a short digest matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ambiguity {
    /// What was looked up.
    pub prefix: DigestPrefix,
    /// The smallest match.
    pub first: Digest,
    /// The next match.
    pub second: Digest,
}

impl Ambiguity {
    /// Two different digests that `prefix` matches.
    #[must_use]
    pub fn new(prefix: DigestPrefix, first: Digest, second: Digest) -> Self {
        Self { prefix, first, second }
    }

    /// How many digits tell these two apart: a lower bound for all matches.
    #[must_use]
    pub fn needed_digits(&self) -> usize {
        (self.first.shared_digits(&self.second) + 1).min(Digest::DIGITS)
    }
}

/// A failed operation: which store, which operation, which key, and the [`ErrorKind`].
///
/// Branch on [`kind`](Self::kind) only. The cause, if there is one, is the
/// [`source`](StdError::source) and is not repeated in the text. Clones share it.
///
/// ```
/// use cache_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Timeout, "disk", "get").with_detail("no answer in 5 s");
/// assert_eq!(error.to_string(), "disk: get: deadline exceeded: no answer in 5 s");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    store: Cow<'static, str>,
    operation: &'static str,
    key: Option<Key>,
    detail: Option<Cow<'static, str>>,
    ambiguity: Option<Ambiguity>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `operation` on `store`. Either may be empty where there is none yet.
    #[must_use]
    pub fn new(kind: ErrorKind, store: impl Into<Cow<'static, str>>, operation: &'static str) -> Self {
        Self(Arc::new(Inner {
            kind,
            store: store.into(),
            operation,
            key: None,
            detail: None,
            ambiguity: None,
            source: None,
        }))
    }

    /// A bad argument that no store has seen yet.
    #[must_use]
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, "", "").with_detail(detail)
    }

    /// Bytes that a store knows to be damaged.
    #[must_use]
    pub fn corrupt(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, "", "").with_detail(detail)
    }

    /// An ambiguous short digest.
    #[must_use]
    pub fn ambiguous(store: impl Into<Cow<'static, str>>, operation: &'static str, found: Ambiguity) -> Self {
        let mut error = Self::new(ErrorKind::Ambiguous, store, operation).with_detail(format!(
            "{} matches {} and {}: give at least {} digits",
            found.prefix,
            found.first,
            found.second,
            found.needed_digits()
        ));
        error.inner().ambiguity = Some(found);
        error
    }

    /// An I/O failure, with the kind that its [`io::ErrorKind`] calls for.
    #[must_use]
    pub fn from_io(store: impl Into<Cow<'static, str>>, operation: &'static str, error: io::Error) -> Self {
        use io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::Denied,
            Io::StorageFull | Io::QuotaExceeded => ErrorKind::NoSpace,
            Io::TimedOut => ErrorKind::Timeout,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, store, operation).with_source(error)
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    /// Names the store and the operation.
    #[must_use]
    pub fn at(mut self, store: impl Into<Cow<'static, str>>, operation: &'static str) -> Self {
        let inner = self.inner();
        inner.store = store.into();
        inner.operation = operation;
        self
    }

    /// Names the key.
    #[must_use]
    pub fn with_key(mut self, key: &Key) -> Self {
        self.inner().key = Some(key.clone());
        self
    }

    /// Says more, in one short clause.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.inner().detail = Some(detail.into());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner().source = Some(Arc::from(source.into()));
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The store or tier that failed; empty if none was reached.
    #[must_use]
    pub fn store(&self) -> &str {
        &self.0.store
    }

    /// The operation that failed; empty if none was begun.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The key, where one entry is concerned.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.0.key.as_ref()
    }

    /// What is said beyond the kind.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The candidates, if the kind is [`Ambiguous`](ErrorKind::Ambiguous).
    #[must_use]
    pub fn ambiguity(&self) -> Option<Ambiguity> {
        self.0.ambiguity
    }

    /// The text of this error and of all its causes in one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            source = cause.source();
        }
        line.replace(['\n', '\r'], " ")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, store, operation, key, detail, .. } = &*self.0;
        for context in [store, *operation] {
            if !context.is_empty() {
                write!(f, "{context}: ")?;
            }
        }
        write!(f, "{kind}")?;
        if let Some(detail) = detail {
            write!(f, ": {detail}")?;
        }
        if let Some(key) = key {
            write!(f, " ({key})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, store, operation, key, detail, source, .. } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("store", store)
            .field("operation", operation)
            .field("key", key)
            .field("detail", detail)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests;
