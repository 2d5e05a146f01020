use std::time::{Duration, UNIX_EPOCH};

use cache_core::Digest;

use super::*;

fn key() -> Key {
    Key::new("ops".parse().unwrap(), Digest::of("key"))
}

fn index() -> Index {
    let blob = |name: &str, bytes, seconds: i64| IndexedBlob {
        name: name.parse().unwrap(),
        bytes,
        created: if seconds < 0 {
            UNIX_EPOCH - Duration::new(seconds.unsigned_abs(), 5)
        } else {
            UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), 7)
        },
    };
    Index { blobs: vec![blob("data", 200_000, 1_700_000_000), blob("log", 0, -3), blob("ä", 5, 0)] }
}

/// The end of an object with this index, and the length of the object.
fn tail(index: &Index) -> (Vec<u8>, u64) {
    let tail = index.encode(&key());
    let len = tail.len() as u64 + index.data_len();
    (tail, len)
}

#[test]
fn what_is_written_is_read() {
    let index = index();
    let (tail, len) = tail(&index);
    assert_eq!(Index::decode(&key(), &tail, len).unwrap(), index);
    assert_eq!(Index::len_before(&tail[tail.len() - FOOTER..], len).unwrap(), (tail.len() - FOOTER) as u64);
    // With some of the data before it.
    let longer = [vec![7; 100], tail.clone()].concat();
    assert_eq!(Index::decode(&key(), &longer, len).unwrap(), index);
    assert!(footer_is_whole(&tail[tail.len() - FOOTER..], len));
    let places: Vec<_> = index.places().map(|(_, place)| place).collect();
    assert_eq!((places[0].start, places[0].end), (0, places[1].start));
    assert_eq!(places[2].end, index.data_len());
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let (tail, len) = tail(&index());
    for at in 0..tail.len() {
        for bit in 0..8 {
            let mut damaged = tail.clone();
            damaged[at] ^= 1 << bit;
            let error = Index::decode(&key(), &damaged, len).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit} of byte {at}");
        }
        let cut = &tail[at + 1..];
        assert_eq!(Index::decode(&key(), cut, len).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(Index::decode(&key(), &tail[..at], len).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    for len in [0, len - 1, len + 1, u64::MAX] {
        assert_eq!(Index::decode(&key(), &tail, len).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(!footer_is_whole(&tail, len));
    }
}

#[test]
fn the_index_of_another_key_is_damage() {
    let (tail, len) = tail(&index());
    let other = Key::new("ops".parse().unwrap(), Digest::of("other"));
    assert_eq!(Index::decode(&other, &tail, len).unwrap_err().kind(), ErrorKind::Corrupt);
    let moved = Key::new("op".parse().unwrap(), Digest::of("key"));
    assert_eq!(Index::decode(&moved, &tail, len).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_newer_version_is_named_and_not_damage() {
    let (mut tail, len) = tail(&index());
    let footer = tail.len() - FOOTER;
    tail[footer + 12] = 2;
    let index_len = u32::from_le_bytes(tail[footer + 8..footer + 12].try_into().unwrap()) as usize;
    let told = sum(&key(), &tail[footer - index_len..footer + HEAD]);
    tail[footer + HEAD..footer + HEAD + SUM].copy_from_slice(&told);
    let error = Index::decode(&key(), &tail, len).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("object version 2"), "{error}");
}
