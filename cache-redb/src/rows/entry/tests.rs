use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn blob(name: &str, bytes: u64, created: SystemTime, id: Option<u64>) -> BlobRow {
    BlobRow { name: BlobName::new(name).unwrap(), bytes, created, id }
}

fn row() -> EntryRow {
    let before = UNIX_EPOCH - Duration::new(3, 1);
    let after = UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_999);
    let blobs = vec![blob("data", 7, after, None), blob(&"ü".repeat(32), u64::MAX, before, Some(9))];
    EntryRow { last: Use { stamp: 5, at: after, count: 3 }, version: 4, blobs }
}

#[test]
fn a_row_round_trips() {
    for row in [row(), EntryRow { blobs: Vec::new(), ..row() }] {
        assert_eq!(EntryRow::decode(b"key", &row.encode(b"key")), Some(row.clone()));
        assert_eq!(Use::of_row(b"key", &row.encode(b"key")), Some(row.last));
    }
}

#[test]
fn the_last_use_changes_and_nothing_else() {
    let other = Use { stamp: u64::MAX, at: UNIX_EPOCH - Duration::from_secs(1), count: 0 };
    let changed = other.put_into(b"key", &row().encode(b"key")).unwrap();
    assert_eq!(EntryRow::decode(b"key", &changed), Some(EntryRow { last: other, ..row() }));
}

#[test]
fn a_damaged_row_is_none() {
    let whole = row().encode(b"key");
    assert_eq!(EntryRow::decode(b"kez", &whole), None);
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(EntryRow::decode(b"key", &flipped), None);
        assert_eq!(other_use().put_into(b"key", &flipped), None);
    }
    for len in 0..whole.len() {
        assert_eq!(EntryRow::decode(b"key", &whole[..len]), None);
    }
}

fn other_use() -> Use {
    Use { stamp: 1, at: UNIX_EPOCH, count: 1 }
}
