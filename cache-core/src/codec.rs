use std::{error::Error as StdError, fmt};

use serde::{Serialize, de::DeserializeOwned};

#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "postcard")]
mod postcard;

#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MessagePack;

/// How values become bytes and bytes become values.
///
/// What a codec writes stands behind a header that names the codec and the schema, so bytes of
/// another codec are never handed to it. Features bring three: `json`, `msgpack` and `postcard`. One
/// of your own takes an id from [`CodecId::custom`]:
///
/// ```
/// use std::error::Error;
///
/// use cache_core::{Codec, CodecId};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// /// JSON that people can read.
/// #[derive(Clone, Debug, Default)]
/// struct Pretty;
///
/// impl Codec for Pretty {
///     fn id(&self) -> CodecId {
///         CodecId::custom(*b"prt")
///     }
///
///     fn encode<T>(&self, value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>>
///     where
///         T: Serialize + ?Sized,
///     {
///         Ok(serde_json::to_writer_pretty(into, value)?)
///     }
///
///     fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Box<dyn Error + Send + Sync>> {
///         Ok(serde_json::from_slice(bytes)?)
///     }
/// }
/// ```
pub trait Codec: Clone + fmt::Debug + Send + Sync + 'static {
    /// What stored values are marked with. Another way to write is another id.
    fn id(&self) -> CodecId;

    /// Appends the bytes of `value`; what stands in `into` already stays as it is.
    ///
    /// # Errors
    ///
    /// If `value` has no form in this codec. What was appended is then dropped.
    fn encode<T>(&self, value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized;

    /// The value that `bytes` are, all of them.
    ///
    /// # Errors
    ///
    /// If they are not the bytes of a `T`, or if bytes are left over.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>>;
}

/// What marks the values of one codec where they are stored: 4 bytes.
///
/// Those that begin with `x` are for codecs of your own, all others are this crate's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecId([u8; 4]);

impl CodecId {
    #[cfg(feature = "json")]
    const JSON: Self = Self(*b"json");
    #[cfg(feature = "msgpack")]
    pub(crate) const MESSAGE_PACK: Self = Self(*b"msgp");
    #[cfg(feature = "postcard")]
    const POSTCARD: Self = Self(*b"post");

    /// The id of a codec of your own. It cannot be that of a codec of this crate.
    #[must_use]
    pub const fn custom(name: [u8; 3]) -> Self {
        let [a, b, c] = name;
        Self([b'x', a, b, c])
    }

    pub(crate) const fn from_stored(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The 4 bytes as they are stored.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.escape_ascii().to_string())
    }
}

impl fmt::Debug for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecId({self})")
    }
}

#[cfg(test)]
mod tests;
