use std::{collections::BTreeMap, fs, time::UNIX_EPOCH};

use cache_core::{BlobName, Digest, Envelope, ErrorKind, Key, Namespace, Store, StoreExt};
use redb::{ReadTransaction, ReadableTable};

use super::*;
use crate::{
    RedbOptions, RedbStore,
    chunks::{CHUNK, CHUNKS, LOOSE},
    file_medium::FileMedium,
    format::{FORMAT, VERSION, VERSION_ROW},
    memory_medium::MemoryMedium,
    rows::{BLOBS, BlobRow, ENTRIES, EntryRow, RECENCY, RowKey, TOTALS, Use},
    stub::Stub,
};

type BlobBytes = fn(&mut fastrand::Rng) -> usize;
type Bytes = Vec<(Vec<u8>, Vec<u8>)>;

/// All that is in a database but its chunks.
#[derive(Debug, PartialEq)]
struct Content {
    entries: Bytes,
    blobs: Bytes,
    totals: Bytes,
    recency: BTreeMap<u64, Vec<u8>>,
    version: u64,
}

fn content(database: &impl ReadableDatabase) -> Content {
    let from = database.begin_read().unwrap();
    let rows = |table: redb::TableDefinition<'static, &'static [u8], &'static [u8]>| {
        let rows = from.open_table(table).unwrap();
        let rows = rows.iter().unwrap().map(Result::unwrap);
        rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
    };
    let recency = from.open_table(RECENCY).unwrap();
    let recency = recency.iter().unwrap().map(|row| row.unwrap());
    Content {
        entries: rows(ENTRIES),
        blobs: rows(BLOBS),
        totals: rows(TOTALS),
        recency: recency.map(|(stamp, key)| (stamp.value(), key.value().to_vec())).collect(),
        version: from.open_table(FORMAT).unwrap().get(VERSION_ROW).unwrap().unwrap().value(),
    }
}

fn ids(from: &ReadTransaction) -> (Vec<(u64, u32)>, Vec<u64>) {
    let chunks = from.open_table(CHUNKS).unwrap();
    let loose = from.open_table(LOOSE).unwrap();
    (
        chunks.iter().unwrap().map(|row| row.unwrap().0.value()).collect(),
        loose.iter().unwrap().map(|row| row.unwrap().0.value()).collect(),
    )
}

/// Fills a database as puts of entries in random order do, in batches.
fn fill(database: &Database, entries: u64, blob_bytes: impl Fn(&mut fastrand::Rng) -> usize) -> u64 {
    let mut random = fastrand::Rng::with_seed(entries);
    let name = BlobName::new("data").unwrap();
    let (mut stamp, mut bytes) = (0, 0);
    while stamp < entries {
        let mut transaction = database.begin_write().unwrap();
        transaction.set_durability(redb::Durability::None).unwrap();
        transaction.open_table(FORMAT).unwrap().insert(VERSION_ROW, VERSION).unwrap();
        transaction.open_table(TOTALS).unwrap().insert(&b"n"[..], &b"totals"[..]).unwrap();
        transaction.open_table(CHUNKS).unwrap();
        transaction.open_table(LOOSE).unwrap();
        let mut table = transaction.open_table(ENTRIES).unwrap();
        let mut blobs = transaction.open_table(BLOBS).unwrap();
        let mut recency = transaction.open_table(RECENCY).unwrap();
        for _ in 0..256.min(entries - stamp) {
            stamp += 1;
            let key = Key::new(Namespace::root(), Digest::of(random.u64(..).to_le_bytes()));
            let len = blob_bytes(&mut random);
            bytes += len as u64;
            let row = EntryRow {
                last: Use { stamp, at: UNIX_EPOCH, count: 0 },
                version: stamp,
                blobs: vec![BlobRow { name: name.clone(), bytes: len as u64, created: UNIX_EPOCH, id: None }],
            };
            let row_key = RowKey::entry(key.view());
            let row_key = row_key.as_bytes();
            table.insert(row_key, &*row.encode(row_key)).unwrap();
            let sealed = vec![0x8e; usize::try_from(Envelope::sealed_len(len as u64)).unwrap()];
            blobs.insert(RowKey::blob(key.view(), &name).as_bytes(), &*sealed).unwrap();
            recency.insert(stamp, row_key).unwrap();
        }
        drop((table, blobs, recency));
        transaction.commit().unwrap();
    }
    // What is not durable is written no later than this.
    database.begin_write().unwrap().commit().unwrap();
    bytes
}

fn file() -> (tempfile::TempDir, FileMedium) {
    let root = tempfile::tempdir().unwrap();
    let medium = FileMedium::new(&root.path().join("cache.redb"), 4 << 20);
    (root, medium)
}

fn files(root: &tempfile::TempDir) -> Vec<String> {
    let names = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn file_of_small_blobs_takes_little_more_than_they_do() {
    let (root, medium) = file();
    let old = medium.open().unwrap();
    let bytes = fill(&old, 12_000, |_| 1024);
    let before = content(&old);
    assert!(medium.len().unwrap() > bytes * 19 / 10);

    let new = compact(&medium, &old).unwrap().unwrap();
    assert_eq!(content(&new), before);
    let file = fs::metadata(root.path().join("cache.redb")).unwrap().len();
    assert!(file * 10 <= bytes * 16, "{file} of {bytes}");
    assert!(medium.len().unwrap() <= file);
    assert_eq!(files(&root), ["cache.redb"]);
    assert!(compact(&medium, &new).unwrap().is_none());

    // Who reads from the old one goes on, and nobody else gets in between.
    assert_eq!(content(&old), before);
    assert_eq!(medium.open().unwrap_err().error().kind(), ErrorKind::Locked);
    drop(old);
    assert_eq!(medium.open().unwrap_err().error().kind(), ErrorKind::Locked);
    fill(&new, 300, |_| 1024);
    let after = content(&new);
    assert_eq!(after.entries.len(), 12_300);
    drop(new);
    assert_eq!(content(&medium.open().unwrap()), after);
}

#[test]
fn estimate_is_close_to_what_becomes_of_it() {
    let sizes: [(u64, BlobBytes); 12] = [
        (12_000, |_| 100),
        (30_000, |_| 0),
        (4_000, |_| 1900),
        (4_000, |_| 2100),
        (3_000, |_| 3900),
        (2_000, |_| 4200),
        (500, |_| 70_000),
        (200, |_| 255 << 10),
        (4_000, |_| 1024),
        (3_000, |_| 3000),
        (1_000, |random| random.usize(0..50_000)),
        (6_000, |random| if random.u8(..) == 0 { 200_000 } else { random.usize(0..4_000) }),
    ];
    for (case, (entries, bytes)) in sizes.into_iter().enumerate() {
        let (_root, medium) = file();
        let old = medium.open().unwrap();
        fill(&old, entries, bytes);
        let needed = estimate::estimate(&old.begin_read().unwrap()).unwrap();
        drop(rewrite(&medium, &old, 0).unwrap().unwrap());
        let len = medium.len().unwrap();
        let error = len.abs_diff(needed) * 100 / len;
        assert!(error <= 4, "case {case}: {needed} for {len}: {error} %");
    }
}

#[test]
fn estimate_of_large_blobs_is_close_too() {
    for len in [256 << 10, 300_000, 600_000, 3_000_000] {
        let (root, medium) = file();
        let store = async {
            let store = RedbStore::open(RedbOptions::new(root.path().join("cache.redb"))).await.unwrap();
            for number in 0..12_u8 {
                store.put_bytes(&Key::from(Digest::of([number])), vec![number; len].into()).await.unwrap();
            }
            store.close(None).await.unwrap();
        };
        tokio::runtime::Runtime::new().unwrap().block_on(store);
        let old = medium.open().unwrap();
        let needed = estimate::estimate(&old.begin_read().unwrap()).unwrap();
        let new = rewrite(&medium, &old, 0).unwrap().unwrap();
        let file = medium.len().unwrap();
        assert!(file.abs_diff(needed) * 100 <= file * 6, "{len}: {needed} for {file}");
        assert!(compact(&medium, &new).unwrap().is_none(), "{len}");
    }
}

#[test]
fn chunks_that_nothing_refers_to_are_left_behind() {
    let medium = MemoryMedium::new();
    let old = medium.open().unwrap();
    fill(&old, 10, |_| 10);
    let transaction = old.begin_write().unwrap();
    for (id, count) in [(1, 3), (2, 1), (3, 2), (4, 2), (5, 1)] {
        for index in 0..count {
            transaction.open_table(CHUNKS).unwrap().insert((id, index), &*vec![0; CHUNK]).unwrap();
        }
    }
    // 1 is a blob's, 2 is uploaded just now; 3 and 4 are nobody's, whatever a damaged stub says.
    let payload_len = 3 * CHUNK as u64;
    let trailer = vec![0; usize::try_from(Envelope::trailer_len(payload_len)).unwrap()].into();
    let stub = Stub { id: 1, payload_len, header: [0; Envelope::HEADER_BYTES], trailer };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    stub.encode(&mut good);
    Stub { id: 4, ..stub }.encode(&mut bad);
    bad[20] ^= 1;
    transaction.open_table(BLOBS).unwrap().insert(&b"a"[..], &*good).unwrap();
    transaction.open_table(BLOBS).unwrap().insert(&b"b"[..], &*bad).unwrap();
    transaction.open_table(LOOSE).unwrap().insert(2, ()).unwrap();
    // 5 is given free with its entry, which has to be found damaged first: nobody else may have the number until then.
    let key = RowKey::entry(Key::from(Digest::of("damaged")).view()).as_bytes().to_vec();
    let blob = BlobRow { name: BlobName::DATA, bytes: 1, created: UNIX_EPOCH, id: Some(5) };
    let row = EntryRow { last: Use { stamp: 99, at: UNIX_EPOCH, count: 0 }, version: 99, blobs: vec![blob] };
    transaction.open_table(ENTRIES).unwrap().insert(&*key, &*row.encode(&key)).unwrap();
    transaction.commit().unwrap();

    let before = content(&old);
    let new = rewrite(&medium, &old, 0).unwrap().unwrap();
    assert_eq!(content(&new), before);
    let (chunks, loose) = ids(&new.begin_read().unwrap());
    assert_eq!(chunks, [(1, 0), (1, 1), (1, 2), (2, 0), (5, 0)]);
    assert_eq!(loose, [2]);
}

#[test]
fn what_is_full_is_left_alone() {
    for (file, needed, is_worthwhile_now) in [
        (0, 0, false),
        (4 << 20, (3 << 20) + 1, false),
        (4 << 20, 3 << 20, true),
        (100 << 20, 81 << 20, false),
        (100 << 20, 80 << 20, true),
        (100 << 20, 200 << 20, false),
        (u64::MAX, 1, true),
    ] {
        assert_eq!(is_worthwhile(file, needed), is_worthwhile_now, "{file} {needed}");
    }
}

#[test]
fn failure_anywhere_leaves_the_old_database_or_the_new_one() {
    let medium = MemoryMedium::new();
    let old = medium.open().unwrap();
    fill(&old, 500, |_| 1024);
    let before = content(&old);
    let start = medium.operations();
    let new = rewrite(&medium, &old, 0).unwrap().unwrap();
    let operations = medium.operations() - start;
    drop(new);
    assert!(operations > 50);
    for nth in 1..=operations {
        let (medium, old) = again(&before);
        medium.fail_from(nth);
        let done = rewrite(&medium, &old, 0);
        medium.fail(0);
        let is_new = done.as_ref().is_ok_and(Option::is_some);
        assert!(is_new || matches!(done, Err(Fault::Refused(_) | Fault::Failed(_))), "{nth}: {done:?}");
        drop((old, done));
        assert_eq!(content(&medium.open().unwrap()), before, "{nth}");
    }
}

/// A database of this content.
fn again(content: &Content) -> (MemoryMedium, Database) {
    let medium = MemoryMedium::new();
    let database = medium.open().unwrap();
    let transaction = database.begin_write().unwrap();
    let tables = [(ENTRIES, &content.entries), (BLOBS, &content.blobs), (TOTALS, &content.totals)];
    for (table, rows) in tables {
        let mut table = transaction.open_table(table).unwrap();
        rows.iter().for_each(|(key, value)| drop(table.insert(&**key, &**value).unwrap()));
    }
    transaction.open_table(FORMAT).unwrap().insert(VERSION_ROW, content.version).unwrap();
    transaction.open_table(CHUNKS).unwrap();
    transaction.open_table(LOOSE).unwrap();
    let mut recency = transaction.open_table(RECENCY).unwrap();
    content.recency.iter().for_each(|(stamp, key)| drop(recency.insert(stamp, &**key).unwrap()));
    drop(recency);
    transaction.commit().unwrap();
    (medium, database)
}

#[test]
fn what_a_crash_left_behind_is_removed_and_no_hindrance() {
    let (root, medium) = file();
    let old = medium.open().unwrap();
    fill(&old, 300, |_| 1024);
    let before = content(&old);
    let left = root.path().join("cache.redb.compacting");
    fs::write(&left, b"half").unwrap();
    drop(rewrite(&medium, &old, 0).unwrap().unwrap());
    drop(old);
    assert_eq!(files(&root), ["cache.redb"]);

    fs::write(&left, b"half").unwrap();
    let database = medium.open().unwrap();
    assert_eq!(files(&root), ["cache.redb"]);
    assert_eq!(content(&database), before);

    // What is no file was not left behind by us.
    fs::create_dir(&left).unwrap();
    let fault = rewrite(&medium, &database, 0).unwrap_err();
    assert!(matches!(&fault, Fault::Refused(_)), "{fault:?}");
    assert!(fault.error().detail().unwrap().contains("compacting"));
    assert_eq!(content(&database), before);
    drop(database);
    assert_eq!(content(&medium.open().unwrap()), before);
    assert!(left.is_dir());
}

#[cfg(unix)]
#[test]
fn link_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let (root, medium) = file();
    drop(medium.open().unwrap());
    let path = root.path().join("cache.redb");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = root.path().join("link");
    symlink(&path, &link).unwrap();
    let linked = FileMedium::new(&link, 1 << 20);
    let old = linked.open().unwrap();
    fill(&old, 300, |_| 1024);
    let before = content(&old);
    drop(rewrite(&linked, &old, 0).unwrap().unwrap());
    assert_eq!(mode(), 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(content(&medium.open().unwrap()), before);
}

#[test]
fn file_that_took_the_place_meanwhile_is_left_as_it_is() {
    let (root, medium) = file();
    let path = root.path().join("cache.redb");
    let (theirs, moved) = (root.path().join("theirs"), root.path().join("moved"));
    let old = medium.open().unwrap();
    fill(&old, 300, |_| 1024);
    let before = content(&old);
    let new = medium.begin_rebuild(0).unwrap().unwrap();
    rebuild::rebuild(&old, &new).unwrap();
    // While it is copied, and before.
    fs::rename(&path, &moved).unwrap();
    fs::write(&theirs, b"theirs").unwrap();
    fs::rename(&theirs, &path).unwrap();
    let fault = medium.finish_rebuild(new).unwrap_err();
    assert!(matches!(&fault, Fault::Refused(_)), "{fault:?}");
    medium.abandon_rebuild();
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    let fault = rewrite(&medium, &old, 0).unwrap_err();
    assert!(matches!(&fault, Fault::Refused(_)), "{fault:?}");
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
    assert_eq!(content(&old), before);
    drop(old);
    fs::remove_file(&path).unwrap();
    fs::rename(&moved, &path).unwrap();
    assert_eq!(files(&root), ["cache.redb"]);

    let old = medium.open().unwrap();
    let new = rewrite(&medium, &old, 0).unwrap().unwrap();
    let new = rewrite(&medium, &new, 0).unwrap().unwrap();
    assert_eq!(content(&new), before);
}

#[cfg(unix)]
#[test]
fn owner_stays() {
    use std::os::unix::fs::{MetadataExt, chown};

    let (root, medium) = file();
    let path = root.path().join("cache.redb");
    let old = medium.open().unwrap();
    fill(&old, 300, |_| 1024);
    let owner = |path| fs::metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
    // Who is not root keeps what is its own.
    _ = chown(&path, Some(4711), Some(4712));
    let before = owner(&path);
    drop(rewrite(&medium, &old, 0).unwrap().unwrap());
    assert_eq!(owner(&path), before);
}

#[test]
fn file_system_without_room_for_two_is_not_filled() {
    let (root, medium) = file();
    let old = medium.open().unwrap();
    fill(&old, 300, |_| 1024);
    let before = content(&old);
    let fault = rewrite(&medium, &old, u64::MAX).unwrap_err();
    assert!(matches!(&fault, Fault::Refused(error) if error.kind() == ErrorKind::NoSpace), "{fault:?}");
    assert_eq!(files(&root), ["cache.redb"]);
    assert_eq!(content(&old), before);
}
