use cache_core::{Digest, ErrorKind, Sealer};

use super::*;

fn key() -> Key {
    Key::from(Digest::of("key"))
}

fn stub_of(id: u64, payload: &[u8]) -> Stub {
    let mut sealer = Sealer::new(&key(), &BlobName::DATA);
    let header = sealer.header();
    sealer.update(payload);
    Stub { id, payload_len: payload.len() as u64, header, trailer: sealer.finish().0.into() }
}

fn encoded(stub: &Stub) -> Vec<u8> {
    let mut value = Vec::new();
    stub.encode(&mut value);
    value
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn stubs_of_any_length_round_trip() {
    for len in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let stub = stub_of(len as u64 + 7, &vec![3; len]);
        let value = encoded(&stub);
        assert_eq!(BlobValue::of(&value).unwrap(), BlobValue::Chunked);
        let read = Stub::decode(&value).unwrap();
        assert_eq!(read, stub);
        assert_eq!(read.index(&key(), &BlobName::DATA).unwrap().payload_len(), len as u64);
    }
}

#[test]
fn layout_is_that_of_the_first_version() {
    let stub = stub_of(0x0102, b"payload");
    let value = encoded(&stub);
    assert_eq!(value[..17], [1, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(value[17..65], stub.header);
    assert_eq!(value[65..73], xxh3_64(&value[..65]).to_le_bytes());
    assert_eq!(value[73..], stub.trailer);
}

#[test]
fn every_flipped_bit_is_damage() {
    let value = encoded(&stub_of(9, &[5; 70_000]));
    for bit in 0..value.len() * 8 {
        let mut flipped = value.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let read = Stub::decode(&flipped).and_then(|stub| stub.index(&key(), &BlobName::DATA).map(drop));
        assert_eq!(kind(read), Some(ErrorKind::Corrupt), "bit {bit}");
    }
}

#[test]
fn a_stub_that_is_cut_or_has_grown_is_damage() {
    let value = encoded(&stub_of(9, &[5; 70_000]));
    for len in 0..value.len() {
        assert_eq!(kind(Stub::decode(&value[..len])), Some(ErrorKind::Corrupt), "{len} bytes");
    }
    for more in [1, 15, 16, 17, 4096] {
        let mut grown = value.clone();
        grown.resize(value.len() + more, 0);
        assert_eq!(kind(Stub::decode(&grown)), Some(ErrorKind::Corrupt), "{more} bytes more");
    }
}

#[test]
fn a_length_that_no_blob_can_have_is_damage() {
    for payload_len in [u64::MAX, u64::MAX / 2, (u64::from(u32::MAX) + 1) << 18] {
        let stub = Stub { payload_len, ..stub_of(1, b"payload") };
        assert_eq!(kind(Stub::decode(&encoded(&stub))), Some(ErrorKind::Corrupt), "{payload_len}");
    }
}

#[test]
fn a_length_that_is_not_the_trailers_is_damage() {
    // Both have one block.
    let stub = Stub { payload_len: 8, ..stub_of(1, b"payload") };
    let stub = Stub::decode(&encoded(&stub)).unwrap();
    assert_eq!(kind(stub.index(&key(), &BlobName::DATA)), Some(ErrorKind::Corrupt));
}

#[test]
fn the_stub_of_another_blob_is_damage() {
    let stub = Stub::decode(&encoded(&stub_of(1, b"payload"))).unwrap();
    let (other, stderr) = (Key::from(Digest::of("other")), BlobName::new("stderr").unwrap());
    assert_eq!(kind(stub.index(&other, &BlobName::DATA)), Some(ErrorKind::Corrupt));
    assert_eq!(kind(stub.index(&key(), &stderr)), Some(ErrorKind::Corrupt));
}

#[test]
fn a_header_of_a_newer_version_is_told() {
    let mut stub = stub_of(1, b"payload");
    stub.header[8] = 2;
    let sum = xxhash_rust::xxh3::xxh3_128(&stub.header[..32]);
    stub.header[32..].copy_from_slice(&sum.to_le_bytes());
    let stub = Stub::decode(&encoded(&stub)).unwrap();
    assert_eq!(kind(stub.index(&key(), &BlobName::DATA)), Some(ErrorKind::Unsupported));
}

#[test]
fn values_are_told_apart_by_their_first_byte() {
    let sealed = Envelope::seal(&key(), &BlobName::DATA, b"");
    assert_eq!(BlobValue::of(&sealed).unwrap(), BlobValue::Sealed);
    assert_eq!(kind(BlobValue::of(&[])), Some(ErrorKind::Corrupt));
    for first in (0..=u8::MAX).filter(|first| ![STUB, SEALED].contains(first)) {
        assert_eq!(kind(BlobValue::of(&[first, 0])), Some(ErrorKind::Corrupt), "{first}");
    }
}
