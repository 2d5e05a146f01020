use super::*;
use crate::ErrorKind;

fn call() -> Call {
    let datum =
        |name: &str, value: &'static [u8]| Datum::from_parts(Digest::of(name), Bytes::from_static(value));
    Call::new("resize")
        .with_module("image")
        .with_version("2")
        .with_code(Digest::of("code"))
        .with_argument_datum("width", datum("width", b"\xcd\x02\x80"))
        .with_argument_datum("image", Digest::of("image"))
        .with_result_datum(Digest::of("result"))
        .with_metadata_datum("host", datum("host", b"\xa7build-7"))
        .with_metadata_datum("log", Digest::of("log"))
        .with_created(SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789))
}

#[test]
fn record_is_pinned() {
    assert_eq!(const_hex::encode(encode(&call()).unwrap()), include_str!("golden-v1.hex").trim());
    let bare = "8e435456010000006d7367700100000088a46e616d65a166a66d6f64756c65c0a776657273696f6ec0a4636f6465c0a9\
                617267756d656e747390a6726573756c74c0a86d6574616461746180a763726561746564c0";
    assert_eq!(const_hex::encode(encode(&Call::new("f")).unwrap()), bare);
}

#[test]
fn record_comes_back_as_it_was() {
    for call in [call(), Call::new("f"), Call::new("é/\0")] {
        assert_eq!(decode(&encode(&call).unwrap()).unwrap(), call);
    }
}

#[test]
fn value_of_the_result_is_beside_the_record() {
    let call = call().with_result_datum(Datum::from_parts(Digest::of("r"), Bytes::from_static(b"\x07")));
    let blobs = entry(&call).unwrap();
    let names: Vec<&str> = blobs.blobs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["data", "result"]);
    assert_eq!(decode(&encode(&call).unwrap()).unwrap().result, Some(Datum::from(Digest::of("r"))));
    assert_eq!(unwrap(&wrap(&Bytes::from_static(b"\x07"))).unwrap(), b"\x07".as_slice());
    let typed = typed_blob::encode(&MessagePack, RESULT_SCHEMA, &7_u8).unwrap();
    assert_eq!(wrap(&Bytes::from_static(b"\x07")), typed, "what a typed handle writes");
    assert_eq!(entry(&Call::new("f")).unwrap().blobs().len(), 1);
}

#[test]
fn every_other_blob_is_refused() {
    let record = encode(&call()).unwrap();
    let refused = |bytes: &[u8]| {
        assert_eq!(decode(&Bytes::copy_from_slice(bytes)).unwrap_err().kind(), ErrorKind::Codec);
    };
    for cut in 0..record.len() {
        refused(&record[..cut]);
    }
    let mut newer = record.to_vec();
    newer[12] = 2;
    refused(&newer);
    refused(&[record.as_ref(), b"\0"].concat());
    refused(&typed_blob::encode(&MessagePack, VERSION, &"no call").unwrap());
}

#[test]
fn time_is_kept_to_the_nanosecond_and_never_overflows() {
    let epoch = SystemTime::UNIX_EPOCH;
    for at in [epoch, epoch + Duration::new(5, 1), epoch - Duration::new(5, 1)] {
        assert_eq!(time(nanoseconds(at)), Some(at));
    }
    let centuries = Duration::from_secs(60 * 60 * 24 * 366 * 400);
    assert_eq!(nanoseconds(epoch + centuries), i64::MAX);
    assert_eq!(nanoseconds(epoch - centuries), i64::MIN);
    assert!(time(i64::MIN).is_some() && time(i64::MAX).is_some());
}

#[test]
fn result_has_its_own_blob_name() {
    assert_eq!(result_name().as_str(), "result");
}
