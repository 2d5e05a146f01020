//! The format, pinned. A line that changes here changes the keys of everything that users have stored:
//! that takes a new version in the first line of the encoding, and a file of its own.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use serde::Serialize;

use super::{Call, Part, build};
use crate::{
    Digest, KeyBuilder,
    canonical::{
        self,
        tests::{Raw, decode, value::Value},
    },
};

#[derive(Serialize)]
struct Job {
    command: &'static str,
    args: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<&'static str>,
    level: Level,
    timeout: Option<Duration>,
}

#[derive(Serialize)]
enum Level {
    Debug,
    Tuned(u8),
    Range(i8, i8),
    Custom { lto: bool, units: u16 },
}

#[derive(Default)]
struct Golden(String);

impl Golden {
    #[track_caller]
    fn add(&mut self, what: &str, digest: Digest, bytes: &[u8]) {
        assert_eq!(digest, Digest::of(bytes), "{what}");
        assert!(decode::key(bytes).is_ok(), "{what}: {:?}", decode::key(bytes));
        let shown = bytes.escape_ascii();
        writeln!(self.0, "\n{what}\n  hashed {shown}\n  digest {digest}").unwrap();
    }

    #[track_caller]
    fn value<T: Serialize + ?Sized>(&mut self, what: &str, value: &T) {
        let mut bytes = Vec::new();
        canonical::encode_alone(value, &mut bytes).unwrap();
        self.add(what, Digest::of_serialize(value).unwrap(), &bytes);
    }

    #[track_caller]
    fn call(&mut self, what: &str, operation: &str, parts: &[Part]) {
        let (digest, bytes) = build(operation, parts);
        self.add(what, digest, &bytes);
    }
}

fn values(golden: &mut Golden) {
    golden.value("unit", &());
    golden.value("none", &None::<u8>);
    golden.value("some(unit)", &Some(()));
    golden.value("some(none)", &Some(None::<u8>));
    golden.value("false", &false);
    golden.value("true", &true);
    golden.value("integer 0", &0u8);
    golden.value("integer 1", &1u128);
    golden.value("integer 255", &255i32);
    golden.value("integer 256", &256usize);
    golden.value("integer -1", &-1i8);
    golden.value("integer -129", &-129i64);
    golden.value("integer 2^64-1", &u64::MAX);
    golden.value("integer 2^128-1", &u128::MAX);
    golden.value("integer -2^127", &i128::MIN);
    golden.value("float 0.0", &0.0);
    golden.value("float -0.0", &-0.0f32);
    golden.value("float 1.0", &1.0f32);
    golden.value("float 0.1 of 32 bits", &0.1f32);
    golden.value("float 0.1 of 64 bits", &0.1f64);
    golden.value("float -infinity", &f32::NEG_INFINITY);
    golden.value("float NaN", &-f32::NAN);
    golden.value("text, empty", "");
    golden.value("text \"a\"", &'a');
    golden.value("text \"Grüße\\n\"", "Grüße\n");
    golden.value("text of 300 x", &"x".repeat(300));
    golden.value("bytes, empty", &Raw(b""));
    golden.value("bytes 00 ff", &Raw(&[0, 255]));
    golden.value("digest of \"abc\"", &Digest::of("abc"));
    golden.value("address 127.0.0.1", &IpAddr::from(Ipv4Addr::LOCALHOST));
    golden.value("address ::1", &IpAddr::from(Ipv6Addr::LOCALHOST));
    golden.value("sequence, empty", &[0u8; 0]);
    golden.value("sequence [1, \"1\", true, 1.0]", &(1, "1", true, 1.0));
    golden.value("sequence [[1, 2], [3, 4]]", &[[1, 2], [3, 4]]);
    golden.value("sequence [1, 2, 3, 4]", &[1, 2, 3, 4]);
    golden.value("map, empty", &BTreeMap::<u8, u8>::new());
    golden.value("map {b: 1, aa: 2, a: 3}", &BTreeMap::from([("b", 1), ("aa", 2), ("a", 3)]));
    golden.value("map {-1: c, 2: a, 300: b}", &BTreeMap::from([(-1, "c"), (2, "a"), (300, "b")]));
    golden.value("map {[1, 2]: {x: none}}", &BTreeMap::from([([1, 2], BTreeMap::from([("x", None::<u8>)]))]));
    golden.value("variant Debug", &Level::Debug);
    golden.value("variant Tuned(2)", &Level::Tuned(2));
    golden.value("variant Range(-1, 1)", &Level::Range(-1, 1));
    golden.value("variant Custom{lto: true, units: 16}", &Level::Custom { lto: true, units: 16 });
    let job = Job {
        command: "cc",
        args: vec!["-O2", "-g"],
        directory: None,
        level: Level::Custom { lto: false, units: 1 },
        timeout: Some(Duration::from_millis(1500)),
    };
    golden.value("structure Job", &job);
}

fn calls(golden: &mut Golden) {
    let text = |text: &str| Value::Text(text.into());
    golden.call("call f()", "f", &[]);
    golden.call("call (), the name is empty", "", &[]);
    golden.call("call f(\"ab\", \"c\")", "f", &[Part::Arg(text("ab")), Part::Arg(text("c"))]);
    golden.call("call f(\"a\", \"bc\")", "f", &[Part::Arg(text("a")), Part::Arg(text("bc"))]);
    golden.call("call f(1)", "f", &[Part::Arg(Value::I32(1))]);
    golden.call("call f(\"1\")", "f", &[Part::Arg(text("1"))]);
    golden.call("call f(bytes \"1\")", "f", &[Part::Bytes(b"1".into())]);
    golden.call("call f(x=\"1y2\")", "f", &[Part::Named("x".into(), text("1y2"))]);
    golden.call(
        "call f(x=1, y=2)",
        "f",
        &[Part::Named("y".into(), Value::U8(2)), Part::Named("x".into(), Value::U8(1))],
    );
    golden.call(
        "call f(none, bytes 00 ff, b=unit, aa=[], a=some(true))",
        "f",
        &[
            Part::Named("aa".into(), Value::Tuple(Vec::new())),
            Part::Arg(Value::None),
            Part::Named("a".into(), Value::Some(Value::Bool(true).into())),
            Part::Bytes(vec![0, 255]),
            Part::Named("b".into(), Value::Unit),
        ],
    );
}

#[test]
fn keys_are_those_of_the_golden_file() {
    let mut golden = Golden(String::from(
        "Keys of version 1: what is hashed, as ASCII with \\x.. for other octets, and its SHA-256.\n",
    ));
    values(&mut golden);
    calls(&mut golden);
    let expected = include_str!("../golden-v1.txt");
    for (line, (found, expected)) in golden.0.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", line + 1);
    }
    assert_eq!(golden.0.len(), expected.len(), "{}", golden.0);
}

#[test]
fn builder_by_hand_gives_the_key_of_the_golden_file() {
    let key = KeyBuilder::new("f").named("y", &2).named("x", &1).finish().unwrap();
    let mut call = Call::new("f", Vec::new());
    call.named("x", &1u64);
    call.named("y", &2u64);
    assert_eq!(key, Digest::of(call.finish().unwrap()));
    let golden = include_str!("../golden-v1.txt");
    let entry = golden.split("\n\n").find(|entry| entry.starts_with("call f(x=1, y=2)\n")).unwrap();
    assert!(entry.contains(&format!("digest {key}")), "{entry}");
}
