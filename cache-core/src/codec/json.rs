use std::error::Error as StdError;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Codec, CodecId};

/// JSON: readable with any tool, and larger and slower than the binary codecs.
///
/// Maps need keys that are text, numbers or booleans; others are refused. JSON has no NaN and no infinity:
/// they are written as `null`, which a float does not read back. Nests up to 128 levels when read. `Some` of
/// what is written as `null`, such as `Some(())`, `Some(None)` or `Some(NAN)`, comes back as `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Json;

impl Codec for Json {
    fn id(&self) -> CodecId {
        CodecId::JSON
    }

    fn encode<T>(&self, value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized,
    {
        Ok(serde_json::to_writer(into, value)?)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
