use std::fmt;

use serde::Serialize;

use crate::{Digest, DigestWriter, Result};

mod call;

use call::Call;

/// Names an artifact by the operation that makes it and by all of that operation's arguments.
///
/// Calls chain; [`finish`](Self::finish) gives the digest. Different operations and different arguments
/// have different keys: each part is hashed with its kind and its extent, so `("ab", "c")` is
/// unlike `("a", "bc")`, and `1` unlike `"1"`. The order of [`arg`](Self::arg) and
/// [`bytes`](Self::bytes) counts; that of [`named`](Self::named) does not, neither among themselves nor
/// among the others. An argument is anything that is [`Serialize`].
///
/// ```
/// use cache_core::{Digest, KeyBuilder};
///
/// let source = Digest::of("int main() { return 0; }");
/// let key = KeyBuilder::new("compile")
///     .arg(&source)
///     .arg(&["-O2", "-g"])
///     .named("target", "x86_64-unknown-linux-gnu")
///     .named("jobs", &8)
///     .finish()?;
///
/// let other_order = KeyBuilder::new("compile")
///     .named("jobs", &8)
///     .arg(&source)
///     .named("target", "x86_64-unknown-linux-gnu")
///     .arg(&["-O2", "-g"])
///     .finish()?;
/// assert_eq!(key, other_order);
/// # Ok::<(), cache_core::Error>(())
/// ```
///
/// A content too large to be held is hashed with a [`DigestWriter`], whose digest is the argument.
///
/// The first call that fails is kept, those after it do nothing, and `finish` gives its error; so no
/// digest ever comes from a part of the arguments.
#[doc = include_str!("key_builder/encoding.md")]
#[derive(Clone)]
#[must_use = "`finish` gives the digest"]
pub struct KeyBuilder(Call<DigestWriter>);

impl KeyBuilder {
    /// Begins the key of `operation`: the name of what is computed, with its version if that changes
    /// the outcome.
    pub fn new(operation: &str) -> Self {
        Self(Call::new(operation, DigestWriter::default()))
    }

    /// Adds the next positional argument.
    pub fn arg<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.0.arg(value);
        self
    }

    /// Adds the next positional argument as raw bytes, which is faster than a `&[u8]` given to
    /// [`arg`](Self::arg) and has another key.
    pub fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.bytes(bytes.as_ref());
        self
    }

    /// Adds an argument by name. Each name may be given once.
    pub fn named<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        self.0.named(name, value);
        self
    }

    /// The digest of the operation and of all its arguments.
    ///
    /// # Errors
    ///
    /// The first that a call met: [`Codec`](crate::ErrorKind::Codec) if an argument cannot be encoded,
    /// which the error names and whose reason is its source; [`Invalid`](crate::ErrorKind::Invalid) if
    /// a name was given twice.
    pub fn finish(self) -> Result<Digest> {
        self.0.finish().map(DigestWriter::finish)
    }
}

/// Tells the operation and the names, never the values: those may be secret.
impl fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBuilder")
            .field("operation", &self.0.operation())
            .field("positional", &self.0.positional())
            .field("named", &self.0.names().collect::<Vec<_>>())
            .field("error", &self.0.error())
            .finish()
    }
}

#[cfg(test)]
mod tests;
