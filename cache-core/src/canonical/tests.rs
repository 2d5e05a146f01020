use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::Mutex,
    thread,
};

use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::*;
use crate::Digest;

pub(crate) mod decode;
mod property;
pub(crate) mod value;

#[track_caller]
pub(crate) fn encoded<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).unwrap();
    bytes
}

fn failure<T: Serialize + ?Sized>(value: &T) -> String {
    encode(value, &mut Vec::new()).unwrap_err().to_string()
}

/// `expected` is written with its lengths as `<n>` (8 bytes) and all else that is not ASCII as `\x..`.
#[track_caller]
fn check<T: Serialize + ?Sized>(value: &T, expected: &[u8]) {
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let encoded = encoded(value);
    let mut long = Vec::new();
    let mut rest = expected;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'<', [digit, b'>', after @ ..]) => {
                long.extend(u64::from(digit - b'0').to_be_bytes());
                rest = after;
            }
            _ => long.push(byte),
        }
    }
    assert_eq!(shown(&encoded), shown(&long));
}

#[track_caller]
fn alike<A: Serialize + ?Sized, B: Serialize + ?Sized>(a: &A, b: &B) {
    assert_eq!(encoded(a), encoded(b));
}

#[track_caller]
fn unlike<A: Serialize + ?Sized, B: Serialize + ?Sized>(a: &A, b: &B) {
    assert_ne!(encoded(a), encoded(b));
}

/// What shows itself to serde as bytes.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype<T>(T);

#[derive(Serialize)]
struct Point {
    x: u8,
    y: u8,
}

#[derive(Serialize)]
enum Shape {
    Dot,
    Circle(u8),
    Line(u8, u8),
    Box { x: u8, y: u8 },
}

#[test]
fn scalars_are_encoded_as_documented() {
    check(&(), b"u");
    check(&Unit, b"u");
    check(&None::<u8>, b"n");
    check(&Some(()), b"su");
    check(&false, b"f");
    check(&true, b"t");
    check(&0.5f64, b"d\x3f\xe0\0\0\0\0\0\0");
    check("ab", b"T<2>ab");
    check("é", b"T<2>\xc3\xa9");
    check(&Raw(b"ab"), b"B<2>ab");
}

#[test]
fn integers_are_encoded_by_value() {
    check(&0u8, b"+\0");
    check(&1u8, b"+\x01\x01");
    check(&255u8, b"+\x01\xff");
    check(&256u16, b"+\x02\x01\0");
    check(&-1i8, b"-\x01\x01");
    check(&-256i64, b"-\x02\x01\0");
    check(&u64::MAX, b"+\x08\xff\xff\xff\xff\xff\xff\xff\xff");
    check(&u128::MAX, &[&b"+\x10"[..], &[0xff; 16]].concat());
    check(&i128::MAX, &[&b"+\x10\x7f"[..], &[0xff; 15]].concat());
    check(&i128::MIN, &[&b"-\x10\x80"[..], &[0; 15]].concat());
}

#[test]
fn integer_of_any_width_and_signedness_is_alike() {
    for value in [0u8, 1, 127] {
        alike(&value, &i8::try_from(value).unwrap());
        alike(&value, &i16::from(value));
        alike(&value, &i32::from(value));
        alike(&value, &i64::from(value));
        alike(&value, &i128::from(value));
        alike(&value, &u16::from(value));
        alike(&value, &u32::from(value));
        alike(&value, &u64::from(value));
        alike(&value, &u128::from(value));
        alike(&value, &usize::from(value));
        alike(&value, &isize::from(i16::from(value)));
    }
    for value in [-1i8, i8::MIN] {
        alike(&value, &i16::from(value));
        alike(&value, &i32::from(value));
        alike(&value, &i64::from(value));
        alike(&value, &i128::from(value));
        alike(&value, &isize::from(value));
    }
    unlike(&-1i8, &255u8);
    unlike(&-1i8, &1u8);
    unlike(&-1i64, &u64::MAX);
    unlike(&i128::MIN, &(1u128 << 127));
}

#[test]
fn float_is_encoded_by_value_with_one_nan() {
    alike(&0.5f32, &0.5f64);
    alike(&f32::INFINITY, &f64::INFINITY);
    alike(&f32::MIN_POSITIVE, &f64::from(f32::MIN_POSITIVE));
    alike(&f32::from_bits(1), &f64::from(f32::from_bits(1)));
    unlike(&0.1f32, &0.1f64);
    unlike(&0.0, &-0.0);
    unlike(&1.0, &1);
    check(&f64::NAN, b"d\x7f\xf8\0\0\0\0\0\0");
    for nan in [f64::from_bits(u64::MAX), f64::from_bits(0x7ff0_0000_0000_0001), -f64::NAN] {
        alike(&nan, &f64::NAN);
    }
    alike(&f32::NAN, &f64::NAN);
    alike(&f32::from_bits(u32::MAX), &f64::NAN);
}

#[test]
fn kinds_of_one_look_are_unlike() {
    unlike(&1, "1");
    unlike(&true, "True");
    unlike(&true, "true");
    unlike(&true, &1);
    unlike(&false, &0);
    unlike(&1.5, "1.5");
    unlike(&Raw(b"ab"), "ab");
    unlike(&Raw(b"ab"), b"ab");
    unlike("ab", b"ab");
    unlike("", &Raw(b""));
    unlike("", &());
    unlike("", &[0u8; 0]);
    unlike(&[0u8; 0], &());
    unlike(&[0u8; 0], &BTreeMap::<u8, u8>::new());
    unlike(&Shape::Dot, "Dot");
    unlike(&('a', 'b'), "ab");
}

#[test]
fn char_is_the_text_of_that_character() {
    alike(&'a', "a");
    alike(&'é', "é");
    unlike(&'a', &97);
}

#[test]
fn option_is_tagged() {
    unlike(&None::<u8>, &());
    unlike(&Some(1), &1);
    unlike(&Some(None::<u8>), &None::<Option<u8>>);
    unlike(&Some(Some(1)), &Some(1));
    unlike(&[None::<u8>; 1], &[0u8; 0]);
    unlike(&Some(()), &());
}

#[test]
fn sequences_of_like_elements_are_alike() {
    #[derive(Serialize)]
    struct Pair(u8, u8);

    check(&[1u8, 2], b"[+\x01\x01+\x01\x02]");
    alike(&[1u8, 2], &(1i64, 2u128));
    alike(&[1u8, 2], &vec![1u8, 2]);
    alike(&[1u8, 2], &Pair(1, 2));
    alike(&[1u8, 2], &[1u8, 2][..]);
    unlike(&[1, 2], &[2, 1]);
}

#[test]
fn sequence_of_unknown_or_wrong_length_is_like_that_of_known_length() {
    struct Counted(Option<usize>);
    impl Serialize for Counted {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut sequence = serializer.serialize_seq(self.0)?;
            sequence.serialize_element(&1)?;
            sequence.serialize_element(&2)?;
            sequence.end()
        }
    }
    alike(&Counted(None), &[1, 2]);
    alike(&Counted(Some(2)), &[1, 2]);
    alike(&Counted(Some(usize::MAX)), &[1, 2]);
    alike(&Counted(Some(0)), &[1, 2]);
}

#[test]
fn arrays_of_other_shape_or_element_are_unlike() {
    unlike(&[[1, 2], [3, 4]], &[1, 2, 3, 4]);
    unlike(&vec![vec![1, 2], vec![3, 4]], &vec![vec![1], vec![2, 3, 4]]);
    unlike(&[[1, 2], [3, 4]], &[[[1, 2], [3, 4]]]);
    unlike(&[[1, 2, 3], [4, 5, 6]], &[[1, 2], [3, 4], [5, 6]].as_slice());
    unlike(&[[0u8; 0]; 2], &[[0u8; 0]; 1]);
    unlike(&[[0u8; 0]; 1], &[0u8; 0]);
    unlike(&[1u8, 2], &[1.0, 2.0]);
    unlike(&[1u8], &["1"]);
    unlike(&[1u8, 0, 0, 0], &[1u32]);
    unlike(&[1u8, 0], &[true, false]);
}

#[test]
fn map_is_encoded_in_the_order_of_its_encoded_keys() {
    check(&BTreeMap::from([("b", 1), ("aa", 2), ("a", 3)]), b"{T<1>a+\x01\x03T<1>b+\x01\x01T<2>aa+\x01\x02}");
    check(&Point { x: 1, y: 2 }, b"{T<1>x+\x01\x01T<1>y+\x01\x02}");
    check(&BTreeMap::<u8, u8>::new(), b"{}");
    check(
        &BTreeMap::from([(300, "b"), (2, "a"), (-1, "c")]),
        b"{+\x01\x02T<1>a+\x02\x01\x2cT<1>b-\x01\x01T<1>c}",
    );
}

#[test]
fn map_in_any_order_is_alike() {
    let pairs: Vec<_> = (0..200u32).map(|n| (n.to_string(), n)).collect();
    let ascending: HashMap<_, _> = pairs.iter().cloned().collect();
    let descending: HashMap<_, _> = pairs.iter().rev().cloned().collect();
    alike(&ascending, &descending);
    alike(&ascending, &pairs.into_iter().collect::<BTreeMap<_, _>>());
}

#[test]
fn map_with_an_entry_moved_is_unlike() {
    unlike(&BTreeMap::from([("x", "1y2")]), &BTreeMap::from([("x", "1"), ("y", "2")]));
    unlike(&BTreeMap::from([("a", 1), ("b", 2)]), &BTreeMap::from([("a", 2), ("b", 1)]));
    unlike(&BTreeMap::from([("a", "b")]), &["a", "b"]);
    unlike(&BTreeMap::from([("a", "b")]), &[("a", "b")]);
    unlike(&BTreeMap::from([(1, "a")]), &BTreeMap::from([("1", "a")]));
    unlike(
        &BTreeMap::from([("a", BTreeMap::from([("b", 1)]))]),
        &BTreeMap::from([("a", BTreeMap::new()), ("b", BTreeMap::from([("b", 1)]))]),
    );
}

#[test]
fn structure_is_a_map_by_name() {
    #[derive(Serialize)]
    struct Other {
        y: i64,
        x: i64,
    }
    #[derive(Serialize)]
    struct Flat {
        #[serde(flatten)]
        point: Point,
    }
    alike(&Point { x: 1, y: 2 }, &Other { y: 2, x: 1 });
    alike(&Point { x: 1, y: 2 }, &BTreeMap::from([("x", 1), ("y", 2)]));
    alike(&Point { x: 1, y: 2 }, &Flat { point: Point { x: 1, y: 2 } });
    unlike(&Point { x: 1, y: 2 }, &Point { x: 2, y: 1 });
    unlike(&Point { x: 1, y: 2 }, &(1, 2));
}

#[test]
fn skipped_field_is_absent() {
    #[derive(Serialize)]
    struct Sparse {
        x: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        y: Option<u8>,
    }
    #[derive(Serialize)]
    struct Dense {
        x: u8,
        y: Option<u8>,
    }
    alike(&Sparse { x: 1, y: None }, &BTreeMap::from([("x", 1)]));
    alike(&Sparse { x: 1, y: Some(2) }, &Dense { x: 1, y: Some(2) });
    unlike(&Sparse { x: 1, y: None }, &Dense { x: 1, y: None });
}

#[test]
fn newtype_is_what_it_holds() {
    alike(&Newtype(1), &1);
    alike(&Newtype(Newtype("a")), "a");
    alike(&Box::new(1), &1);
    alike(&Newtype(()), &());
    unlike(&Newtype(1), &(1,));
}

#[test]
fn variant_is_known_by_name() {
    #[derive(Serialize)]
    enum Moved {
        Circle(u64),
        Line([u8; 2]),
        Box(Point),
        Dot,
    }
    #[derive(Serialize)]
    enum Renamed {
        Spot,
        Dot(()),
    }

    check(&Shape::Dot, b"eT<3>Dot");
    check(&Shape::Circle(1), b"ET<6>Circle+\x01\x01");
    check(&Shape::Line(1, 2), b"ET<4>Line[+\x01\x01+\x01\x02]");
    check(&Shape::Box { x: 1, y: 2 }, b"ET<3>Box{T<1>x+\x01\x01T<1>y+\x01\x02}");
    alike(&Shape::Dot, &Moved::Dot);
    alike(&Shape::Circle(1), &Moved::Circle(1));
    alike(&Shape::Line(1, 2), &Moved::Line([1, 2]));
    alike(&Shape::Box { x: 1, y: 2 }, &Moved::Box(Point { x: 1, y: 2 }));
    unlike(&Shape::Dot, &Renamed::Spot);
    unlike(&Shape::Dot, &Renamed::Dot(()));
    unlike(&Shape::Circle(1), &BTreeMap::from([("Circle", 1)]));
}

#[test]
fn type_of_two_forms_shows_the_compact_one() {
    struct Asks;
    impl Serialize for Asks {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let readable = serializer.is_human_readable();
            serializer.serialize_bool(readable)
        }
    }
    let digest = Digest::of("abc");
    check(&Asks, b"f");
    alike(&digest, &Raw(digest.as_bytes()));
    unlike(&digest, &digest.to_string());
    unlike(&digest, digest.as_bytes());
    check(&"10.0.0.1".parse::<IpAddr>().unwrap(), b"ET<2>V4[+\x01\x0a+\0+\0+\x01\x01]");
    unlike(&"10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.0.1");
}

#[test]
fn json_value_is_encoded_as_the_value_it_shows() {
    let json = serde_json::json!({"b": [1, -1, 0.5, "text", true, null], "a": {}});
    let same = serde_json::json!({"a": {}, "b": [1, -1, 0.5, "text", true, null]});
    alike(&json, &same);
    alike(&json["b"], &(1u8, -1i8, 0.5f32, "text", true, ()));
    unlike(&serde_json::json!(null), &None::<u8>);
}

/// A map that tells serde what it is given, be it right or wrong.
struct Pairs<'a>(&'a [(&'a str, u8)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[test]
fn duplicate_key_fails_by_name() {
    struct Mixed;
    impl Serialize for Mixed {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry(&1u8, "a")?;
            map.serialize_entry(&1i64, "a")?;
            map.end()
        }
    }
    #[derive(Serialize)]
    struct Flat {
        x: u8,
        #[serde(flatten)]
        point: Point,
    }
    alike(&Pairs(&[("b", 1), ("a", 2)]), &BTreeMap::from([("a", 2), ("b", 1)]));
    assert_eq!(failure(&Pairs(&[("a", 1), ("b", 2), ("a", 1)])), "a map has the key \"a\" twice");
    assert_eq!(failure(&Mixed), "a map has a key twice");
    assert_eq!(failure(&Flat { x: 1, point: Point { x: 1, y: 1 } }), "a map has the key \"x\" twice");
    assert_eq!(failure(&[Pairs(&[("a", 1), ("a", 2)])]), "a map has the key \"a\" twice");
}

#[test]
fn map_with_half_an_entry_fails() {
    struct Steps(&'static str);
    impl Serialize for Steps {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for step in self.0.chars() {
                match step {
                    'k' => map.serialize_key(&1)?,
                    _ => map.serialize_value(&1)?,
                }
            }
            map.end()
        }
    }
    alike(&Steps("kv"), &BTreeMap::from([(1, 1)]));
    assert_eq!(failure(&Steps("k")), "a map has a key without a value");
    assert_eq!(failure(&Steps("kk")), "a map has a key without a value");
    assert_eq!(failure(&Steps("v")), "a map has a value without a key");
    assert_eq!(failure(&Steps("kvv")), "a map has a value without a key");
}

struct Fails;

impl Serialize for Fails {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not today"))
    }
}

#[test]
fn value_that_fails_gives_its_own_reason() {
    let cell = RefCell::new(1);
    let _held = cell.borrow_mut();
    assert_eq!(failure(&cell), "already mutably borrowed");
    assert_eq!(failure(&Fails), "not today");
    assert_eq!(failure(&vec![Some(Newtype(Fails))]), "not today");
    assert_eq!(failure(&BTreeMap::from([("a", Fails)])), "not today");
    alike(&Mutex::new(1), &1);
}

#[test]
fn value_that_hides_a_failure_within_fails_all_the_same() {
    struct Hides(&'static str);
    impl Serialize for Hides {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            macro_rules! hide {
                ($compound:expr, $($call:tt)+) => {{
                    let mut compound = $compound?;
                    let _ = compound.$($call)+;
                    compound.end()
                }};
            }
            match self.0 {
                "sequence" => hide!(serializer.serialize_seq(None), serialize_element(&Fails)),
                "tuple" => hide!(serializer.serialize_tuple(1), serialize_element(&Fails)),
                "tuple struct" => hide!(serializer.serialize_tuple_struct("", 1), serialize_field(&Fails)),
                "tuple variant" => {
                    hide!(serializer.serialize_tuple_variant("", 0, "", 1), serialize_field(&Fails))
                }
                "key" => hide!(serializer.serialize_map(None), serialize_key(&Fails)),
                "value" => hide!(serializer.serialize_map(None), serialize_entry("", &Fails)),
                "field" => hide!(serializer.serialize_struct("", 1), serialize_field("", &Fails)),
                _ => hide!(serializer.serialize_struct_variant("", 0, "", 1), serialize_field("", &Fails)),
            }
        }
    }
    for place in ["sequence", "tuple", "tuple struct", "tuple variant", "key", "value", "field", "variant"] {
        assert_eq!(failure(&Hides(place)), "not today", "{place}");
        assert_eq!(failure(&[Hides(place)]), "not today", "{place}");
    }
}

#[test]
fn text_that_cannot_be_written_fails_without_a_panic() {
    struct Mute;
    impl fmt::Display for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    impl Serialize for Mute {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }
    assert_eq!(failure(&Mute), "its text cannot be written");
    check(&format_args!("{}-{}", 1, 2), b"T<3>1-2");
}

/// A leaf within so many others of one shape.
struct Deep(Nest, usize);

#[derive(Clone, Copy, Debug)]
enum Nest {
    Some,
    Newtype,
    NewtypeVariant,
    Seq,
    Tuple,
    TupleStruct,
    TupleVariant,
    Key,
    Value,
    Struct,
    StructVariant,
}

impl Nest {
    const ALL: [Self; 11] = [
        Self::Some,
        Self::Newtype,
        Self::NewtypeVariant,
        Self::Seq,
        Self::Tuple,
        Self::TupleStruct,
        Self::TupleVariant,
        Self::Key,
        Self::Value,
        Self::Struct,
        Self::StructVariant,
    ];
}

impl Serialize for Deep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(left) = self.1.checked_sub(1) else { return serializer.serialize_unit() };
        let inner = Deep(self.0, left);
        macro_rules! one {
            ($compound:expr, $($call:tt)+) => {{
                let mut compound = $compound?;
                compound.$($call)+?;
                compound.end()
            }};
        }
        match self.0 {
            Nest::Some => serializer.serialize_some(&inner),
            Nest::Newtype => serializer.serialize_newtype_struct("", &inner),
            Nest::NewtypeVariant => serializer.serialize_newtype_variant("", 0, "", &inner),
            Nest::Seq => one!(serializer.serialize_seq(None), serialize_element(&inner)),
            Nest::Tuple => one!(serializer.serialize_tuple(1), serialize_element(&inner)),
            Nest::TupleStruct => one!(serializer.serialize_tuple_struct("", 1), serialize_field(&inner)),
            Nest::TupleVariant => {
                one!(serializer.serialize_tuple_variant("", 0, "", 1), serialize_field(&inner))
            }
            Nest::Key => one!(serializer.serialize_map(None), serialize_entry(&inner, "")),
            Nest::Value => one!(serializer.serialize_map(None), serialize_entry("", &inner)),
            Nest::Struct => one!(serializer.serialize_struct("", 1), serialize_field("", &inner)),
            Nest::StructVariant => {
                one!(serializer.serialize_struct_variant("", 0, "", 1), serialize_field("", &inner))
            }
        }
    }
}

#[test]
fn value_within_more_than_128_others_fails_on_a_small_stack() {
    let depths = || {
        for nest in Nest::ALL {
            assert!(encode(&Deep(nest, 128), &mut Vec::new()).is_ok(), "{nest:?}");
            for depth in [129, 100_000, usize::MAX] {
                assert_eq!(failure(&Deep(nest, depth)), "it is more than 128 levels deep", "{nest:?}");
            }
        }
    };
    thread::Builder::new().stack_size(1024 * 1024).spawn(depths).unwrap().join().unwrap();
}

#[test]
fn sequence_is_written_as_it_comes_and_a_map_when_it_is_complete() {
    use std::cell::Cell;

    struct Count<'a>(&'a Cell<usize>);
    impl Sink for Count<'_> {
        fn write(&mut self, bytes: &[u8]) {
            self.0.set(self.0.get() + bytes.len());
        }
    }
    /// Text of one character, that notes how much was written before it.
    struct Probe<'a>(&'a Cell<usize>, &'a RefCell<Vec<usize>>);
    impl Serialize for Probe<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.1.borrow_mut().push(self.0.get());
            serializer.serialize_char('x')
        }
    }
    let (written, seen) = (Cell::new(0), RefCell::new(Vec::new()));
    let probe = || Probe(&written, &seen);
    encode(&(probe(), Some(probe()), [probe()]), &mut Count(&written)).unwrap();
    assert_eq!(seen.take(), [1, 12, 23]);
    assert_eq!(written.replace(0), 35);
    encode(&(probe(), BTreeMap::from([(1, probe()), (2, probe())]), probe()), &mut Count(&written)).unwrap();
    assert_eq!(seen.take(), [1, 11, 11, 39]);
}

#[test]
fn value_alone_is_encoded_behind_the_version_of_the_format() {
    let mut bytes = Vec::new();
    encode_alone(&true, &mut bytes).unwrap();
    assert_eq!(bytes, b"cache-key-v1\nVt");
    assert_eq!(Digest::of_serialize(&true).unwrap(), Digest::of(&bytes));
    assert_eq!(decode::key(&bytes), Ok(decode::Key::Alone(decode::Tree::Bool(true))));
}
