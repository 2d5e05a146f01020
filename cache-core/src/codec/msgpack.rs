use std::error::Error as StdError;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Codec, CodecId};

/// The deepest nesting that is read: far from the end of a thread's stack, also in debug builds.
const MAX_DEPTH: usize = 128;

/// MessagePack with named fields: compact, and fields can be added or reordered without a new schema.
///
/// Nests up to 128 levels when read, as JSON does. `Some(())` and `Some(None)` come back as `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessagePack;

impl Codec for MessagePack {
    fn id(&self) -> CodecId {
        CodecId::MESSAGE_PACK
    }

    fn encode<T>(&self, value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized,
    {
        let mut serializer = rmp_serde::Serializer::new(into).with_struct_map();
        Ok(value.serialize(&mut serializer)?)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>> {
        let mut rest = bytes;
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(MAX_DEPTH);
        let value = T::deserialize(&mut deserializer)?;
        drop(deserializer);
        if rest.is_empty() { Ok(value) } else { Err("bytes are left over".into()) }
    }
}
