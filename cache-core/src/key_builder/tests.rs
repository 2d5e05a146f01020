use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    error::Error as _,
};

use serde::Serialize;

use super::*;
use crate::{
    Error, ErrorKind,
    canonical::tests::{Raw, value::Value},
};

mod golden;
mod property;

/// One call of a builder.
#[derive(Clone, Debug)]
enum Part {
    Arg(Value),
    Bytes(Vec<u8>),
    Named(String, Value),
}

/// The key of these parts, and what is hashed for it.
#[track_caller]
fn build(operation: &str, parts: &[Part]) -> (Digest, Vec<u8>) {
    let (mut builder, mut call) = (KeyBuilder::new(operation), Call::new(operation, Vec::new()));
    for part in parts {
        match part {
            Part::Arg(value) => (builder, _) = (builder.arg(value), call.arg(value)),
            Part::Bytes(bytes) => (builder, _) = (builder.bytes(bytes), call.bytes(bytes)),
            Part::Named(name, value) => {
                (builder, _) = (builder.named(name, value), call.named(name, value));
            }
        }
    }
    let (digest, bytes) = (builder.finish().unwrap(), call.finish().unwrap());
    assert_eq!(digest, Digest::of(&bytes));
    (digest, bytes)
}

fn call() -> KeyBuilder {
    KeyBuilder::new("call")
}

#[track_caller]
fn alike(a: KeyBuilder, b: KeyBuilder) {
    assert_eq!(a.finish().unwrap(), b.finish().unwrap());
}

#[track_caller]
fn unlike(a: KeyBuilder, b: KeyBuilder) {
    assert_ne!(a.finish().unwrap(), b.finish().unwrap());
}

#[test]
fn text_moved_between_arguments_gives_another_key() {
    unlike(call().arg("ab").arg("c"), call().arg("a").arg("bc"));
    unlike(call().arg("ab").arg("c"), call().arg("abc"));
    unlike(call().arg("abc").arg(""), call().arg("").arg("abc"));
    unlike(call().bytes("ab").bytes("c"), call().bytes("a").bytes("bc"));
    unlike(call().arg(&("ab", "c")), call().arg(&("a", "bc")));
}

#[test]
fn number_and_its_text_give_different_keys() {
    unlike(call().arg(&1), call().arg("1"));
    unlike(call().named("x", &1), call().named("x", "1"));
}

#[test]
fn boolean_and_its_text_give_different_keys() {
    for text in ["True", "true", "1"] {
        unlike(call().arg(&true), call().arg(text));
    }
    unlike(call().arg(&true), call().arg(&1));
}

#[test]
fn named_argument_that_looks_like_two_gives_another_key() {
    unlike(call().named("x", "1y2"), call().named("x", "1").named("y", "2"));
    unlike(call().named("x", "1y2"), call().named("x", &1).named("y", &2));
    unlike(call().named("x", "1\",\"y\":\"2"), call().named("x", "1").named("y", "2"));
    unlike(call().named("x1", ""), call().named("x", "1"));
}

#[test]
fn arrays_of_other_element_type_or_shape_give_different_keys() {
    let bytes: [u8; 8] = 1u64.to_le_bytes();
    unlike(call().arg(&bytes), call().arg(&[1u64]));
    unlike(call().arg(&bytes), call().bytes(bytes));
    unlike(call().arg(&[1, 2]), call().arg(&[1.0, 2.0]));
    unlike(call().arg(&[[1, 2], [3, 4]]), call().arg(&[1, 2, 3, 4]));
    unlike(call().arg(&[[1, 2, 3], [4, 5, 6]]), call().arg(&[[1, 2], [3, 4], [5, 6]]));
}

#[test]
fn order_of_positional_arguments_counts() {
    unlike(call().arg(&1).arg(&2), call().arg(&2).arg(&1));
    unlike(call().arg(&1).bytes("2"), call().bytes("2").arg(&1));
    unlike(call().bytes("1").bytes("2"), call().bytes("2").bytes("1"));
    unlike(call().arg(&1).arg(&2), call().arg(&[1, 2]));
    unlike(call().arg(&1), call().arg(&1).arg(&()));
}

#[test]
fn order_of_named_arguments_does_not_count() {
    let expected = call().named("a", &1).named("b", &2).named("aa", &3).arg(&4).bytes("5");
    alike(expected.clone(), call().arg(&4).bytes("5").named("aa", &3).named("b", &2).named("a", &1));
    alike(expected.clone(), call().named("b", &2).arg(&4).named("a", &1).bytes("5").named("aa", &3));
    unlike(expected.clone(), call().named("a", &2).named("b", &1).named("aa", &3).arg(&4).bytes("5"));
    unlike(expected, call().named("a", &1).named("b", &2).arg(&4).bytes("5"));
}

#[test]
fn kinds_of_arguments_give_different_keys() {
    unlike(call().arg("a"), call().bytes("a"));
    unlike(call().arg(&Raw(b"a")), call().bytes("a"));
    unlike(call().arg(&1).named("x", &2), call().arg(&1).arg(&2));
    unlike(call().named("x", &1), call().arg("x").arg(&1));
    unlike(call().named("x", &1), call().arg(&BTreeMap::from([("x", 1)])));
    unlike(call(), call().arg(&BTreeMap::<u8, u8>::new()));
    unlike(call().named("x", &()), call().named("x", &None::<u8>));
    unlike(call().named("x", &None::<u8>), call());
}

#[test]
fn operation_is_part_of_the_key() {
    unlike(KeyBuilder::new("a").arg(&1), KeyBuilder::new("b").arg(&1));
    unlike(KeyBuilder::new("a").arg("b"), KeyBuilder::new("ab"));
    unlike(KeyBuilder::new(""), KeyBuilder::new("a"));
}

#[test]
fn value_alone_and_key_of_an_operation_differ() {
    let alone = Digest::of_serialize("a").unwrap();
    assert_ne!(alone, Digest::of("a"));
    assert_ne!(alone, KeyBuilder::new("a").finish().unwrap());
    assert_ne!(alone, KeyBuilder::new("").arg("a").finish().unwrap());
    assert_ne!(Digest::of_serialize(&["a"]).unwrap(), KeyBuilder::new("a").finish().unwrap());
}

#[test]
fn arguments_of_every_kind_are_taken() {
    #[derive(Serialize)]
    struct Options {
        level: u8,
        flags: Vec<String>,
    }
    let key = call()
        .arg("text")
        .arg(&String::from("text"))
        .arg(&1u128)
        .arg(&1.5f32)
        .arg(&true)
        .arg(&[1, 2][..])
        .arg(&HashMap::from([("a", 1)]))
        .arg(&Options { level: 3, flags: vec!["-g".into()] })
        .arg(&Digest::of("abc"))
        .bytes(b"bytes")
        .bytes(vec![1, 2])
        .bytes(bytes::Bytes::from_static(b"bytes"))
        .named("options", &Options { level: 3, flags: Vec::new() });
    assert!(key.finish().is_ok());
}

#[test]
fn digest_argument_is_unlike_its_text_and_its_octets() {
    let digest = Digest::of("abc");
    unlike(call().arg(&digest), call().arg(&digest.to_string()));
    unlike(call().arg(&digest), call().arg(digest.as_bytes()));
    unlike(call().arg(&digest), call().bytes(digest.as_bytes()));
    unlike(call().arg(&digest), call().arg(&Digest::of("abd")));
    alike(call().arg(&digest), call().arg(&Raw(digest.as_bytes())));
}

#[track_caller]
fn refused(builder: KeyBuilder, kind: ErrorKind, text: &str, source: Option<&str>) -> Error {
    let error = builder.finish().unwrap_err();
    assert_eq!(error.kind(), kind);
    assert_eq!(error.to_string(), text);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), source);
    error
}

#[test]
fn argument_without_an_encoding_is_named() {
    let cell = RefCell::new(0);
    let _held = cell.borrow_mut();
    let reason = Some("already mutably borrowed");
    refused(
        call().arg(&1).bytes("2").named("x", &3).arg(&cell),
        ErrorKind::Codec,
        "codec failed: positional argument 3 of operation \"call\" has no encoding",
        reason,
    );
    refused(
        call().arg(&1).named("x\n", &cell),
        ErrorKind::Codec,
        "codec failed: named argument \"x\\n\" of operation \"call\" has no encoding",
        reason,
    );
    let error = Digest::of_serialize(&cell).unwrap_err();
    assert_eq!(error.to_line(), "codec failed: the value has no encoding: already mutably borrowed");
}

#[test]
fn name_given_twice_is_invalid() {
    let text = "invalid request: named argument \"x\" of operation \"call\" is given twice";
    refused(call().named("x", &1).named("x", &2), ErrorKind::Invalid, text, None);
    refused(call().named("x", &1).named("y", &1).arg(&1).named("x", &1), ErrorKind::Invalid, text, None);
}

#[test]
fn first_error_is_kept_and_what_follows_is_not_looked_at() {
    struct Untouched;
    impl Serialize for Untouched {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("encoded after an error")
        }
    }
    let cell = RefCell::new(0);
    let _held = cell.borrow_mut();
    let twice = call().named("x", &1).named("x", &1);
    let text = "invalid request: named argument \"x\" of operation \"call\" is given twice";
    refused(twice.clone().arg(&cell), ErrorKind::Invalid, text, None);
    refused(twice.arg(&Untouched).named("y", &Untouched).bytes("z"), ErrorKind::Invalid, text, None);
    let text = "codec failed: positional argument 1 of operation \"call\" has no encoding";
    refused(
        call().arg(&cell).named("x", &1).named("x", &1),
        ErrorKind::Codec,
        text,
        Some("already mutably borrowed"),
    );
}

#[test]
fn value_too_deep_is_a_typed_error() {
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq([Endless])
        }
    }
    let text = "codec failed: positional argument 1 of operation \"call\" has no encoding";
    refused(call().arg(&Endless), ErrorKind::Codec, text, Some("it is more than 128 levels deep"));
    assert_eq!(Digest::of_serialize(&Endless).unwrap_err().kind(), ErrorKind::Codec);
}

#[test]
fn clone_goes_its_own_way() {
    let base = call().arg(&1).named("x", &2);
    let other = base.clone().arg(&3).named("y", &4);
    alike(base, call().arg(&1).named("x", &2));
    alike(other, call().arg(&1).arg(&3).named("x", &2).named("y", &4));
}

#[test]
fn debug_shows_names_and_no_values() {
    let builder = call().arg("secret").bytes("secret").named("bb", "secret").named("a", &1);
    let text = "KeyBuilder { operation: \"call\", positional: 2, named: [\"a\", \"bb\"], error: None }";
    assert_eq!(format!("{builder:?}"), text);
}

#[test]
fn builder_moves_between_threads() {
    fn check<T: Send + Sync + 'static>(_: &T) {}
    check(&call());
}
