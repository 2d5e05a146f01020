use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

use crate::{DigestPrefix, Error, Result, canonical};

/// The name of an artifact: 32 bytes of SHA-256.
///
/// Its text is exactly 64 lower-case hex digits, in [`Display`](fmt::Display), in [`FromStr`] and
/// in serde's text formats; binary formats carry the 32 bytes. Digests order by their bytes, which
/// is the order of their text.
///
/// ```
/// use cache_core::Digest;
///
/// let digest = Digest::of(b"abc");
/// assert!(digest.to_string().starts_with("ba7816bf"));
/// assert_eq!(digest.to_string().parse::<Digest>()?, digest);
/// # Ok::<(), cache_core::Error>(())
/// ```
// Aligned, as it is read and compared by words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(align(8))]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hex digits of a whole digest.
    pub const DIGITS: usize = 64;

    /// The SHA-256 of `bytes` (FIPS 180-4).
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of `value` in the canonical encoding that [`KeyBuilder`](crate::KeyBuilder) documents:
    /// like values have the same digest on every platform, whatever the order of their maps.
    ///
    /// It is unlike the digest of the value's bytes or text, and unlike any key of an operation.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use cache_core::Digest;
    ///
    /// let small = HashMap::from([("width", 8u8), ("height", 6)]);
    /// let wide = HashMap::from([("height", 6i64), ("width", 8)]);
    /// assert_eq!(Digest::of_serialize(&small)?, Digest::of_serialize(&wide)?);
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Codec`](crate::ErrorKind::Codec) if `value` cannot be encoded: its `Serialize` fails, one of
    /// its maps has a key twice, or it is too deep.
    pub fn of_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let mut writer = DigestWriter::default();
        match canonical::encode_alone(value, &mut writer) {
            Ok(()) => Ok(writer.finish()),
            Err(failure) => Err(failure.of("the value has no encoding")),
        }
    }

    /// Takes 32 bytes that are a digest already.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first `digits` hex digits, at least 1 and at most 64 of them.
    #[must_use]
    pub fn prefix(&self, digits: usize) -> DigestPrefix {
        DigestPrefix::cut(*self, digits)
    }

    /// How many leading hex digits `self` and `other` share, 0 to 64.
    #[must_use]
    pub fn shared_digits(&self, other: &Self) -> usize {
        for (index, (a, b)) in self.0.iter().zip(other.0.iter()).enumerate() {
            if a != b {
                return index * 2 + usize::from(a >> 4 == b >> 4);
            }
        }
        Self::DIGITS
    }
}

/// A SHA-256 that is fed piece by piece.
///
/// ```
/// use cache_core::{Digest, DigestWriter};
///
/// let mut writer = DigestWriter::default();
/// writer.update(b"a");
/// writer.update(b"bc");
/// assert_eq!(writer.finish(), Digest::of(b"abc"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct DigestWriter(Sha256);

impl DigestWriter {
    /// Feeds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces in order.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(const_hex::Buffer::<32>::new().format(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        check_digits(text)?;
        if text.len() != Self::DIGITS {
            return Err(Error::invalid(format!("a digest has 64 hex digits, this text has {}", text.len())));
        }
        let mut bytes = [0; 32];
        const_hex::decode_to_slice(text, &mut bytes)
            .map_err(|error| Error::invalid("not a digest").with_source(error))?;
        Ok(Self(bytes))
    }
}

/// Refuses everything but lower-case hex digits, naming the first character that is not one.
pub(crate) fn check_digits(text: &str) -> Result<()> {
    match text.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
        None => Ok(()),
        Some(c) if c.is_ascii_hexdigit() => {
            Err(Error::invalid(format!("digests are lower-case: {c:?} is upper-case")))
        }
        Some(c) => Err(Error::invalid(format!("{c:?} is not a hex digit"))),
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Digest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SHA-256 digest")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Digest, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> std::result::Result<Digest, E> {
                let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                Ok(Digest(bytes))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Digest, A::Error> {
                let mut bytes = [0; 32];
                for (index, byte) in bytes.iter_mut().enumerate() {
                    *byte = seq
                        .next_element()?
                        .ok_or_else(|| <A::Error as de::Error>::invalid_length(index, &self))?;
                }
                Ok(Digest(bytes))
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Visitor)
        } else {
            deserializer.deserialize_bytes(Visitor)
        }
    }
}

#[cfg(test)]
mod tests;
