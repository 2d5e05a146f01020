//! The layout of version 1, pinned: what is stored by a fixed sequence, and a database of long ago.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use cache_core::{
    BlobName, Clock, GetOptions, KeyManagement, ManualClock, Namespace, PutMode, PutOptions, Store,
};
use redb::{Database, ReadableDatabase, ReadableTable};
use xxhash_rust::xxh3::xxh3_128;

use super::{Contents, block_on, bytes, crash::held, entry, key, open, options};
use crate::{
    RedbStore,
    chunks::{CHUNKS, LOOSE},
    format::FORMAT,
    medium::Medium,
    memory_medium::{MemoryMedium, Pages},
    rows::{BLOBS, ENTRIES, RECENCY, TOTALS},
};

const ROWS: &str = include_str!("golden-v1.txt");
/// The number of sectors; and of those that are not all zeros the number, the length of what follows, and that: all of
/// it, or the one byte that fills it.
const DATABASE: &[u8] = include_bytes!("golden-v1.sectors");
const SECTOR: usize = 512;

type State = std::collections::BTreeMap<cache_core::Key, Contents>;

fn contents(blobs: &[(&str, bytes::Bytes)]) -> Contents {
    blobs.iter().map(|(name, bytes)| (name.parse().unwrap(), bytes.clone())).collect()
}

/// One entry of each kind: small, of several blobs, empty, large, merged, read; and one that was removed.
async fn fill(store: &RedbStore, clock: &ManualClock) -> State {
    let small = contents(&[("data", "hello".into())]);
    let several = contents(&[("data", bytes(1, 100)), ("größe", "".into()), ("log", "warning: 1".into())]);
    // Mostly zeros, which take no room in the pinned file.
    let data = [&*bytes(2, 40), &[0; 300_000], &*bytes(3, 40)].concat();
    let large = contents(&[("data", data.into()), ("log", "done".into())]);
    let merged = contents(&[("late", bytes(3, 10))]);
    for (number, namespace, contents) in
        [(1, "", &small), (2, "a/b", &several), (3, "", &large), (4, "gone", &small), (5, "a", &small)]
    {
        let created = clock.now() - Duration::from_millis(1_500);
        let options = PutOptions::default().with_created(created);
        store.put(&key(namespace, number), entry(contents), options).await.unwrap();
        clock.advance(Duration::from_millis(250));
    }
    store.put(&key("a", 5), entry(&merged), PutOptions::mode(PutMode::Merge)).await.unwrap();
    store.evict(&key("gone", 4)).await.unwrap();
    clock.advance(Duration::from_secs(60));
    store.get(&key("", 1), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    store.flush().await.unwrap();
    let both: Contents = small.clone().into_iter().chain(merged).collect();
    [(key("", 1), small), (key("a/b", 2), several), (key("", 3), large), (key("a", 5), both)].into()
}

async fn filled() -> (MemoryMedium, State) {
    let medium = MemoryMedium::new();
    let clock = Arc::new(ManualClock::new(UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)));
    let shared = Arc::new(medium.clone());
    let store = RedbStore::open_on(shared, options(), clock.clone()).await.unwrap();
    let state = fill(&store, &clock).await;
    store.close(None).await.unwrap();
    drop(store);
    (medium, state)
}

fn shown(bytes: &[u8]) -> String {
    match bytes.len() {
        0..400 => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        len => format!("{len} bytes, xxh3-128 {:032x}", xxh3_128(bytes)),
    }
}

/// All rows of all tables, as text.
fn dump(database: &Database) -> String {
    let read = database.begin_read().unwrap();
    let mut text = String::new();
    let mut line =
        |table: &str, key: String, value: String| writeln!(text, "{table} {key} = {value}").unwrap();
    for row in read.open_table(FORMAT).unwrap().iter().unwrap().map(|row| row.unwrap()) {
        line("format", row.0.value().to_owned(), row.1.value().to_string());
    }
    for (name, table) in [("entries", ENTRIES), ("blobs", BLOBS), ("totals", TOTALS)] {
        for row in read.open_table(table).unwrap().iter().unwrap().map(|row| row.unwrap()) {
            line(name, shown(row.0.value()), shown(row.1.value()));
        }
    }
    for row in read.open_table(CHUNKS).unwrap().iter().unwrap().map(|row| row.unwrap()) {
        line("chunks", format!("{:?}", row.0.value()), shown(row.1.value()));
    }
    for row in read.open_table(LOOSE).unwrap().iter().unwrap().map(|row| row.unwrap()) {
        line("loose", row.0.value().to_string(), String::new());
    }
    for row in read.open_table(RECENCY).unwrap().iter().unwrap().map(|row| row.unwrap()) {
        line("recency", row.0.value().to_string(), shown(row.1.value()));
    }
    text
}

fn to_sectors(pages: &Pages) -> Vec<u8> {
    let bytes = pages.to_vec();
    let mut packed = ((bytes.len() / SECTOR) as u32).to_le_bytes().to_vec();
    for (number, sector) in (0_u32..).zip(bytes.chunks(SECTOR)) {
        let sector = if sector.iter().all(|byte| *byte == sector[0]) { &sector[..1] } else { sector };
        if sector != [0] {
            packed.extend(number.to_le_bytes());
            packed.extend((sector.len() as u16).to_le_bytes());
            packed.extend(sector);
        }
    }
    packed
}

fn of_sectors(mut packed: &[u8]) -> Pages {
    let mut take = |len| {
        let (taken, rest) = packed.split_at_checked(len)?;
        packed = rest;
        Some(taken)
    };
    let read = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut pages = Pages::default();
    pages.set_len(read(take(4).unwrap()) * SECTOR);
    while let Some(at) = take(4) {
        let len = read(take(2).unwrap());
        let sector = take(len).unwrap().repeat(SECTOR / len);
        pages.write(read(at) * SECTOR, &sector);
    }
    pages
}

#[test]
fn rows_are_pinned_byte_for_byte() {
    let (medium, _) = block_on(filled());
    let rows = dump(&medium.open().unwrap());
    assert!(rows == ROWS, "the layout has changed, which takes another version; it is now\n{rows}");
}

#[test]
fn a_database_of_long_ago_is_read() {
    block_on(async {
        let (_, expected) = filled().await;
        let medium = MemoryMedium::of(of_sectors(DATABASE));
        let store = open(&medium).await.unwrap();
        let meta = store.meta(&key("", 1)).await.unwrap().unwrap();
        assert!(held(&store).await.unwrap() == expected);
        let made = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789) - Duration::from_millis(1_500);
        assert_eq!((meta.created, meta.access_count), (Some(made), Some(1)));
        assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, expected.len() as u64);
        assert!(medium.aside().is_none());
    });
}

#[test]
#[ignore = "writes the pinned files anew, for another version of the layout"]
fn regenerate() {
    let (medium, _) = block_on(filled());
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests");
    std::fs::write(dir.join("golden-v1.txt"), dump(&medium.open().unwrap())).unwrap();
    std::fs::write(dir.join("golden-v1.sectors"), to_sectors(&medium.pages())).unwrap();
}
