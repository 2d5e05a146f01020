use std::error::Error as StdError;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Codec, CodecId};

/// Postcard: the smallest and fastest, for types that seldom change.
///
/// Nothing of a type's shape is stored: a field that is added, removed or moved needs a new schema, or
/// old values may be read as wrong ones. Types that nest in themselves are read to any depth, down to
/// the end of the stack: where strangers can write to the store, take another codec for those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Postcard;

impl Codec for Postcard {
    fn id(&self) -> CodecId {
        CodecId::POSTCARD
    }

    fn encode<T>(&self, value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized,
    {
        postcard::to_io(value, into)?;
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>> {
        let (value, rest) = postcard::take_from_bytes(bytes)?;
        if rest.is_empty() { Ok(value) } else { Err("bytes are left over".into()) }
    }
}
