use std::{error::Error as StdError, fmt};

use super::*;

/// Writes what `Debug` says, reads numbers.
#[derive(Clone, Debug, Default)]
struct Text;

impl Codec for Text {
    fn id(&self) -> CodecId {
        CodecId::custom(*b"txt")
    }

    fn encode<T>(&self, value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized,
    {
        struct Show<'a, T: ?Sized>(&'a T);
        impl<T: Serialize + ?Sized> fmt::Display for Show<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.serialize(f)
            }
        }
        into.extend_from_slice(Show(value).to_string().as_bytes());
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>> {
        use serde::de::IntoDeserializer;
        let number: u32 = std::str::from_utf8(bytes)?.parse()?;
        let deserializer: serde::de::value::U32Deserializer<serde::de::value::Error> =
            number.into_deserializer();
        Ok(T::deserialize(deserializer)?)
    }
}

#[derive(Clone, Debug)]
struct Vandal;

impl Codec for Vandal {
    fn id(&self) -> CodecId {
        CodecId::custom(*b"van")
    }

    fn encode<T>(&self, _value: &T, into: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized,
    {
        into.clear();
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, _bytes: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>> {
        Err("no".into())
    }
}

fn blob() -> Bytes {
    encode(&Text, 0x0102_0304, &42_u32).unwrap()
}

#[track_caller]
fn refused(schema: u32, blob: &[u8], why: &str) {
    let error = decode::<_, u32>(&Text, schema, &Bytes::copy_from_slice(blob)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn value_of_a_codec_of_ones_own_round_trips() {
    assert_eq!(decode::<_, u32>(&Text, 0x0102_0304, &blob()).unwrap(), 42);
}

#[test]
fn layout_is_pinned() {
    assert_eq!(const_hex::encode(blob()), "8e435456010000007874787404030201".to_owned() + "3432");
}

#[test]
fn everything_but_the_same_codec_and_schema_is_refused_by_name() {
    let changed = |at: usize| {
        let mut bytes = blob().to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let schema = 0x0102_0304;
    refused(schema, b"", "no typed value");
    refused(schema, b"raw bytes that somebody put", "no typed value");
    for cut in 0..HEADER_BYTES {
        refused(schema, &blob()[..cut], "no typed value");
    }
    for at in 0..4 {
        refused(schema, &changed(at), "no typed value");
    }
    refused(schema, &changed(4), "the layout is version 0 with flags 0x0");
    refused(schema, &changed(6), "the layout is version 1 with flags 0x1");
    refused(schema, &changed(8), "the codec is ytxt, not xtxt");
    refused(schema, &changed(12), "the schema is version 16909061, not 16909060");
    refused(7, &blob(), "the schema is version 16909060, not 7");
    refused(schema, &blob()[..HEADER_BYTES], "cannot be decoded");
}

#[test]
fn payload_is_a_slice_and_not_a_copy() {
    let blob = blob();
    let payload = payload(Text.id(), 0x0102_0304, &blob).unwrap();
    assert_eq!(payload.as_ptr(), blob[HEADER_BYTES..].as_ptr());
}

#[test]
fn codec_that_writes_over_the_header_is_refused() {
    assert_eq!(encode(&Vandal, 0, &1).unwrap_err().kind(), ErrorKind::Codec);
}

#[cfg(any(feature = "json", feature = "msgpack", feature = "postcard"))]
mod shipped {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::Digest;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        sizes: (u16, i32),
        digest: Digest,
        tags: BTreeMap<String, Option<bool>>,
    }

    #[track_caller]
    fn pinned<C: Codec>(codec: &C, golden: &str) {
        let value = Sample {
            name: "golden".to_owned(),
            sizes: (640, -480),
            digest: Digest::of("abc"),
            tags: BTreeMap::from([("a".to_owned(), Some(true)), ("b".to_owned(), None)]),
        };
        let blob = encode(codec, 3, &value).unwrap();
        assert_eq!(const_hex::encode(&blob), golden.trim());
        assert_eq!(decode::<_, Sample>(codec, 3, &blob).unwrap(), value);
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_blob_is_pinned() {
        pinned(&crate::Json, include_str!("golden-json-v1.hex"));
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn message_pack_blob_is_pinned() {
        pinned(&crate::MessagePack, include_str!("golden-msgpack-v1.hex"));
    }

    #[cfg(feature = "postcard")]
    #[test]
    fn postcard_blob_is_pinned() {
        pinned(&crate::Postcard, include_str!("golden-postcard-v1.hex"));
    }
}
