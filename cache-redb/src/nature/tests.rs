use std::io::Write;

use redb::{Database, TableDefinition};

use super::*;

const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("table");

fn database() -> Vec<u8> {
    let named = tempfile::NamedTempFile::new().unwrap();
    let database = Database::create(named.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TABLE).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    std::fs::read(named.path()).unwrap()
}

#[track_caller]
fn check(bytes: &[u8], nature: Nature) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    assert_eq!(Nature::of(&file).unwrap(), nature);
    // It is the same when it is looked at again.
    assert_eq!(Nature::of(&file).unwrap(), nature);
}

#[test]
fn database_is_told_from_strangers() {
    let bytes = database();
    for len in [1, 5, MAGIC.len(), 10, 100, HEADER_BYTES, 4096, bytes.len()] {
        check(&bytes[..len], Nature::Database);
    }
    check(b"hello", Nature::Stranger);
    check(b"redb is a database, they say", Nature::Stranger);
    check(b"SQLite format 3\0", Nature::Stranger);
    check(&[b"\0\0\0\0\0\0\0\0\0".as_slice(), &[7; 5000]].concat(), Nature::Stranger);
}

#[test]
fn database_without_its_magic_is_one() {
    let whole = database();
    for magic in [[0; 9], *b"redb\x1a\x0a\xa9\x0d\x0b"] {
        let mut bytes = whole.clone();
        bytes[..9].copy_from_slice(&magic);
        check(&bytes, Nature::Database);
        bytes[100] ^= 1;
        check(&bytes, Nature::Database);
        bytes[200] ^= 1;
        check(&bytes, Nature::Stranger);
    }
}

#[test]
fn file_of_a_crash_while_it_was_made_is_half_made() {
    let mut bytes = vec![0; 1 << 20];
    check(&bytes, Nature::HalfMade);
    check(&bytes[..3], Nature::HalfMade);
    bytes[9..HEADER_BYTES].fill(7);
    check(&bytes, Nature::HalfMade);
    bytes[4096] = 1;
    check(&bytes, Nature::Stranger);
}

#[test]
fn other_version_is_told_from_a_damaged_one() {
    let mut bytes = database();
    bytes[64] = 2;
    check(&bytes, Nature::Database);
    let sum = xxh3_128(&bytes[64..64 + SLOT_BYTES - SLOT_SUM_BYTES]).to_le_bytes();
    bytes[64 + SLOT_BYTES - SLOT_SUM_BYTES..64 + SLOT_BYTES].copy_from_slice(&sum);
    check(&bytes, Nature::OtherVersion(2));
}

/// The sums are the database's own: else a file of another version would pass for damaged.
#[test]
fn slot_sums_are_understood() {
    let bytes = database();
    for slot in bytes[64..HEADER_BYTES].chunks_exact(SLOT_BYTES) {
        let (content, sum) = slot.split_at(SLOT_BYTES - SLOT_SUM_BYTES);
        assert_eq!((content[0], sum), (REDB_VERSION, xxh3_128(content).to_le_bytes().as_slice()));
    }
}
