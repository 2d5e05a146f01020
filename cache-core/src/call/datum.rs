use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Codec, Digest, Error, ErrorKind, MessagePack, Result};

/// A value in the record of a call: its digest, and the value itself where it is kept.
///
/// Keys of calls and templates go by the digest alone; `==` asks for the same kept value, too. A kept value is
/// MessagePack.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datum {
    digest: Digest,
    value: Option<Bytes>,
}

impl Datum {
    /// A value that is kept, and its digest.
    ///
    /// # Errors
    ///
    /// [`Codec`](ErrorKind::Codec) if the value cannot be encoded; else as [`Digest::of_serialize`].
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let digest = Digest::of_serialize(value)?;
        let mut bytes = Vec::new();
        MessagePack
            .encode(value, &mut bytes)
            .map_err(|error| codec("a value of a call cannot be encoded", error))?;
        bytes.shrink_to_fit();
        Ok(Self { digest, value: Some(bytes.into()) })
    }

    /// The digest of a value that is not kept.
    ///
    /// # Errors
    ///
    /// As [`Digest::of_serialize`].
    pub fn digest_of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Digest::of_serialize(value).map(Self::from)
    }

    pub(crate) fn from_parts(digest: Digest, value: Bytes) -> Self {
        Self { digest, value: Some(value) }
    }

    /// The digest of the value.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The value as MessagePack, if it is kept.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// The value, if it is kept.
    ///
    /// # Errors
    ///
    /// [`Codec`](ErrorKind::Codec) if it is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let Some(bytes) = &self.value else { return Ok(None) };
        match MessagePack.decode(bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(codec("a value of a call is of another type", error)),
        }
    }

    /// The same value, by its digest alone.
    #[must_use]
    pub fn without_value(mut self) -> Self {
        self.value = None;
        self
    }
}

impl From<Digest> for Datum {
    fn from(digest: Digest) -> Self {
        Self { digest, value: None }
    }
}

impl fmt::Debug for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(bytes) => write!(f, "Datum({}, {} bytes)", self.digest, bytes.len()),
            None => write!(f, "Datum({})", self.digest),
        }
    }
}

fn codec(detail: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(ErrorKind::Codec, "", "").with_detail(detail).with_source(source)
}
