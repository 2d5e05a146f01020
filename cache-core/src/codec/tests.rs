use super::*;

#[test]
fn custom_id_is_never_one_of_this_crate() {
    for name in [*b"son", *b"abc", [0, 0xff, b'\n']] {
        assert_eq!(CodecId::custom(name).to_bytes()[0], b'x');
    }
    assert_eq!(CodecId::custom(*b"prt").to_string(), "xprt");
    assert_eq!(format!("{:?}", CodecId::custom([0, b'a', b'\n'])), r"CodecId(x\x00a\n)");
    #[cfg(feature = "json")]
    assert_eq!(Json.id().to_string(), "json");
    #[cfg(feature = "msgpack")]
    assert_eq!(MessagePack.id().to_string(), "msgp");
    #[cfg(feature = "postcard")]
    assert_eq!(Postcard.id().to_string(), "post");
}

#[cfg(any(feature = "json", feature = "msgpack", feature = "postcard"))]
mod shipped {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::Error as _};

    use super::*;
    use crate::Digest;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(i64, String),
        Named { at: Option<Digest>, map: BTreeMap<String, Vec<f64>> },
    }

    fn shapes() -> Vec<Shape> {
        let map = BTreeMap::from([("a".to_owned(), vec![0.1, -1e300]), (String::new(), vec![])]);
        vec![
            Shape::Unit,
            Shape::New(255),
            Shape::Tuple(i64::MIN, "é\0".to_owned()),
            Shape::Named { at: Some(Digest::of("a")), map },
            Shape::Named { at: None, map: BTreeMap::new() },
        ]
    }

    struct Stubborn;

    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("not today"))
        }
    }

    #[derive(Debug)]
    struct Picky;

    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            u32::deserialize(deserializer)?;
            Err(de::Error::custom("not that one"))
        }
    }

    fn check<C: Codec>(codec: &C) {
        let encode = |into: &mut Vec<u8>| codec.encode(&shapes(), into).unwrap();
        let mut bytes = b"before".to_vec();
        encode(&mut bytes);
        let bytes = bytes.strip_prefix(b"before").expect("what was there stays");
        assert_eq!(codec.decode::<Vec<Shape>>(bytes).unwrap(), shapes());

        for cut in 0..bytes.len() {
            codec.decode::<Vec<Shape>>(&bytes[..cut]).unwrap_err();
        }
        let mut more = bytes.to_vec();
        more.push(0);
        let error = codec.decode::<Vec<Shape>>(&more).unwrap_err().to_string();
        assert!(error.contains("left over") || error.contains("trailing"), "{error}");

        let mut into = Vec::new();
        let error = codec.encode(&Stubborn, &mut into).unwrap_err().to_string();
        assert!(error.contains("not today") || error.contains("Serde"), "{error}");
        let mut number = Vec::new();
        codec.encode(&7_u32, &mut number).unwrap();
        codec.decode::<Picky>(&number).unwrap_err();
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_round_trips_and_takes_no_other_bytes() {
        check(&Json);
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn message_pack_round_trips_and_takes_no_other_bytes() {
        check(&MessagePack);
    }

    #[cfg(feature = "postcard")]
    #[test]
    fn postcard_round_trips_and_takes_no_other_bytes() {
        check(&Postcard);
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_map_with_keys_that_are_no_text_is_refused() {
        let map = BTreeMap::from([(vec![1_u8], "a")]);
        Json.encode(&map, &mut Vec::new()).unwrap_err();
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_nan_does_not_come_back_as_a_number() {
        let mut bytes = Vec::new();
        Json.encode(&f32::NAN, &mut bytes).unwrap();
        Json.decode::<f32>(&bytes).unwrap_err();
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn message_pack_fields_are_named() {
        #[derive(Serialize)]
        struct Old {
            b: u8,
            a: u8,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct New {
            a: u8,
            b: u8,
            #[serde(default)]
            c: Option<u8>,
        }
        let mut bytes = Vec::new();
        MessagePack.encode(&Old { a: 1, b: 2 }, &mut bytes).unwrap();
        assert_eq!(MessagePack.decode::<New>(&bytes).unwrap(), New { a: 1, b: 2, c: None });
    }

    #[cfg(any(feature = "json", feature = "msgpack"))]
    #[derive(Debug, Deserialize)]
    struct Nest(#[expect(dead_code, reason = "only its depth counts")] Vec<Nest>);

    #[cfg(feature = "json")]
    #[test]
    fn json_nested_without_end_is_refused() {
        Json.decode::<Nest>(&[b'['; 1 << 20]).unwrap_err();
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn message_pack_nested_without_end_is_refused() {
        MessagePack.decode::<Nest>(&[0x91; 1 << 20]).unwrap_err();
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn message_pack_that_claims_a_huge_length_is_refused() {
        for claim in
            [[0xc6, 0xff, 0xff, 0xff, 0xff], [0xdd, 0xff, 0xff, 0xff, 0xff], [0xdb, 0xff, 0xff, 0xff, 0xff]]
        {
            MessagePack.decode::<Vec<u64>>(&claim).unwrap_err();
            MessagePack.decode::<String>(&claim).unwrap_err();
        }
    }

    #[cfg(feature = "postcard")]
    #[test]
    fn postcard_that_claims_a_huge_length_is_refused() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        Postcard.decode::<Vec<u64>>(&claim).unwrap_err();
        Postcard.decode::<String>(&claim).unwrap_err();
    }
}
