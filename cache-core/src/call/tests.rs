use std::collections::BTreeMap;

use serde::{Serializer, ser::Error as _};

use super::*;
use crate::ErrorKind;

fn resize() -> Call {
    Call::new("resize").with_argument("width", &640).unwrap().with_argument("height", &480).unwrap()
}

#[test]
fn lookup_key_goes_by_function_and_arguments_alone() {
    let key = |call: &Call| call.lookup_key().unwrap();
    let same = [
        resize().with_result(&1).unwrap(),
        resize().with_metadata("host", &"a").unwrap(),
        resize().with_created(SystemTime::UNIX_EPOCH),
        Call::new("resize")
            .with_argument_datum("width", Datum::digest_of(&640).unwrap())
            .with_argument_datum("height", Digest::of_serialize(&480).unwrap()),
    ];
    for call in &same {
        assert_eq!(key(call), key(&resize()), "{call:?}");
    }
    let others = [
        Call::new("resize2").with_argument("width", &640).unwrap().with_argument("height", &480).unwrap(),
        resize().with_module("resize"),
        resize().with_version("1"),
        resize().with_module("1"),
        resize().with_code(Digest::of("fn")),
        resize().with_argument("depth", &8).unwrap(),
        Call::new("resize").with_argument("height", &480).unwrap().with_argument("width", &640).unwrap(),
        Call::new("resize").with_argument("width", &480).unwrap().with_argument("height", &640).unwrap(),
        Call::new("resize").with_argument("width", &641).unwrap().with_argument("height", &480).unwrap(),
        Call::new("resize"),
    ];
    for (index, call) in others.iter().enumerate() {
        assert_ne!(key(call), key(&resize()), "{call:?}");
        assert!(others.iter().skip(index + 1).all(|other| key(other) != key(call)), "{call:?}");
    }
}

#[test]
fn lookup_keys_are_pinned() {
    let whole = resize().with_module("images").with_version("2").with_code(Digest::of("code"));
    assert_eq!(
        Call::new("f").lookup_key().unwrap().to_string(),
        "31a2d30b5ca43b382e7401abbea83d1aa2b4eaec67736b0ae24b0ab6cf10b716"
    );
    assert_eq!(
        whole.lookup_key().unwrap().to_string(),
        "f96a774a95d06d3eeb46a6333fe9625e141e5964f454f87a7a38b6fd042b8d82"
    );
}

#[test]
fn call_without_a_name_or_with_an_argument_twice_is_invalid() {
    let twice = resize().with_argument("width", &1).unwrap();
    let error = twice.lookup_key().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("\"width\" stands twice"), "{error}");
    assert_eq!(Call::new("").lookup_key().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn argument_that_cannot_be_serialised_is_refused() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("not today"))
        }
    }
    assert_eq!(Call::new("f").with_argument("a", &Stubborn).unwrap_err().kind(), ErrorKind::Codec);
    assert_eq!(Datum::digest_of(&Stubborn).unwrap_err().kind(), ErrorKind::Codec);
    assert_eq!(CallTemplate::default().with_result(&Stubborn).unwrap_err().kind(), ErrorKind::Codec);
}

#[test]
fn datum_keeps_its_value_or_the_digest_alone() {
    let kept = Datum::of(&BTreeMap::from([(1, "a")])).unwrap();
    assert_eq!(kept.read::<BTreeMap<u8, String>>().unwrap(), Some(BTreeMap::from([(1, "a".to_owned())])));
    assert_eq!(kept.read::<String>().unwrap_err().kind(), ErrorKind::Codec);
    let digest = kept.digest();
    let alone = kept.without_value();
    assert_eq!((alone.read::<u8>().unwrap(), alone.digest()), (None, digest));
    assert_eq!(alone, Datum::from(digest));
    let nan = Datum::of(&f32::NAN).unwrap().read::<f32>().unwrap();
    assert!(nan.is_some_and(f32::is_nan), "MessagePack knows it");
}
