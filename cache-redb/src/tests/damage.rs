//! Bytes of a database that are not those that were written: reads give the right bytes, a miss or `Corrupt`, nothing
//! panics, and the store works on.
//!
//! `CACHE_REDB_LONG=1` tries ten times as many. A failure names the change.

mod structure;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use cache_core::KeyManagement;
use cache_core::{Error, ErrorKind, ListOptions, Namespace, PutOptions, Store};
use futures::StreamExt;
use redb::{ReadableTable, Table, Value};

use super::{Contents, block_on, bytes, entry, is_long, key, open, open_as, options, read};
use crate::{
    RedbStore,
    chunks::CHUNKS,
    medium::Medium,
    memory_medium::{MemoryMedium, Pages},
    rows::{BLOBS, ENTRIES, RECENCY, TOTALS},
};

type State = std::collections::BTreeMap<cache_core::Key, Contents>;

/// What came of some damage.
#[derive(Debug, Default)]
struct Counts {
    tried: AtomicUsize,
    /// Everything was right.
    harmless: AtomicUsize,
    /// An entry or more was a miss or `Corrupt`.
    noticed: AtomicUsize,
    /// The whole database was set aside.
    set_aside: AtomicUsize,
    /// It was taken for another's, and left alone.
    refused: AtomicUsize,
}

/// Small entries, some with several blobs, and two with large ones.
fn state() -> State {
    let name = |name: &str| name.parse().unwrap();
    let mut state = State::new();
    for number in 0..24 {
        let namespace = ["", "a", "a/b"][number as usize % 3];
        let mut contents = Contents::from([(name("data"), bytes(number, 40 << (number % 8)))]);
        if number % 5 == 0 {
            contents.insert(name("log"), bytes(number + 100, 700));
        }
        if number == 7 {
            contents.insert(name("large"), bytes(number + 200, 300_000 + number as usize));
        }
        state.insert(key(namespace, number), contents);
    }
    state
}

/// A database with these entries that was closed, and some history.
fn closed(state: &State) -> Pages {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        for (key, contents) in state {
            let old = [("old".parse().unwrap(), bytes(1, 900))].into();
            store.put(key, entry(&old), PutOptions::default()).await.unwrap();
            store.put(key, entry(contents), PutOptions::default()).await.unwrap();
        }
        store.put(&key("gone", 1), entry(&state[&key("", 0)]), PutOptions::default()).await.unwrap();
        store.flush().await.unwrap();
        store.evict(&key("gone", 1)).await.unwrap();
        for key in state.keys().step_by(3) {
            read(&store, key).await.unwrap().unwrap();
        }
        store.close(None).await.unwrap();
        drop(store);
        medium.pages()
    })
}

/// What may be told of damage.
fn is_damage(error: &Error) -> Result<(), String> {
    if error.kind() == ErrorKind::Corrupt { Ok(()) } else { Err(format!("told as {}", error.to_line())) }
}

/// Reads all in every way there is. Whether everything was right.
async fn read_all(store: &RedbStore, state: &State) -> Result<bool, String> {
    let mut right = true;
    let mut listing = store.list(ListOptions::default().recursive());
    let mut listed = 0;
    while let Some(meta) = listing.next().await {
        match meta {
            Ok(meta) => {
                let Some(contents) = state.get(&meta.key) else {
                    return Err(format!("{} is listed", meta.key));
                };
                listed += usize::from(has_sizes(&meta, contents)?);
            }
            Err(error) => is_damage(&error)?,
        }
    }
    right &= listed == state.len();
    for (key, contents) in state {
        match store.meta(key).await {
            Ok(Some(meta)) => right &= has_sizes(&meta, contents)?,
            Ok(None) => right = false,
            Err(error) => {
                is_damage(&error)?;
                right = false;
            }
        }
        match read(store, key).await {
            Ok(Some(found)) if found == *contents => {}
            Ok(Some(_)) => return Err(format!("{key} has other bytes")),
            Ok(None) => right = false,
            Err(error) => {
                is_damage(&error)?;
                right = false;
            }
        }
    }
    for scope in ["", "a"] {
        let scope: Namespace = scope.parse().unwrap();
        if let Err(error) = store.usage(&scope).await {
            is_damage(&error)?;
        }
    }
    Ok(right)
}

fn has_sizes(meta: &cache_core::EntryMeta, contents: &Contents) -> Result<bool, String> {
    // Of one whose row is damaged only the key is known.
    if meta.bytes.is_none() && meta.blobs.is_empty() {
        return Ok(false);
    }
    let told = meta.blobs.iter().map(|blob| (&blob.name, blob.bytes));
    if told.eq(contents.iter().map(|(name, bytes)| (name, bytes.len() as u64))) {
        return Ok(true);
    }
    Err(format!("{} is told to be {:?}", meta.key, meta.blobs))
}

/// Puts and reads beside what is damaged.
async fn works_on(store: &RedbStore, state: &State) -> Result<(), String> {
    let (old, contents) = state.first_key_value().unwrap();
    for key in [&key("new", 1), old] {
        let put = store.put(key, entry(contents), PutOptions::default()).await;
        // The first may be the one that finds the damage.
        if let Err(error) = put {
            is_damage(&error)?;
            let again = store.put(key, entry(contents), PutOptions::default()).await;
            again.map_err(|error| format!("the second put: {}", error.to_line()))?;
        }
        match read(store, key).await {
            Ok(Some(found)) if found == *contents => {}
            other => return Err(format!("{key} was put, and is {:?}", other.map(|found| found.is_some()))),
        }
    }
    // It may have to tell what was lost.
    _ = store.flush().await;
    store.flush().await.map_err(|error| format!("the second flush: {}", error.to_line()))?;
    Ok(())
}

/// Opens what is damaged, and reads all.
async fn examine(
    medium: &MemoryMedium,
    state: &State,
    thoroughly: bool,
    counts: &Counts,
) -> Result<(), String> {
    counts.tried.fetch_add(1, Ordering::Relaxed);
    let store = match open(medium).await {
        Ok(store) => store,
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Err(error) => return Err(format!("open: {}", error.to_line())),
    };
    let right = read_all(&store, state).await?;
    if thoroughly {
        works_on(&store, state).await?;
    }
    _ = store.close(None).await;
    let is_aside = medium.aside().is_some();
    let count = match (is_aside, right) {
        (true, _) => &counts.set_aside,
        (_, true) => &counts.harmless,
        _ => &counts.noticed,
    };
    count.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Tries cases on all processors, and says which went wrong.
fn try_all<T: std::fmt::Debug + Sync>(
    name: &str,
    cases: &[T],
    try_one: impl Fn(usize, &T, &Counts) -> Result<(), String> + Sync,
) {
    let (counts, wrong, next) = (Counts::default(), Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((at, case)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, cases.get(at)?)))
                {
                    if let Err(why) = try_one(at, case, &counts) {
                        wrong.lock().unwrap().push(format!("{case:?}: {why}"));
                    }
                }
            });
        }
    });
    let tried = counts.tried.load(Ordering::Relaxed);
    println!("redb {name}: {tried} points tried: {counts:?}");
    let wrong = wrong.into_inner().unwrap();
    let first: Vec<_> = wrong.iter().take(20).cloned().collect();
    assert!(wrong.is_empty(), "{name}: {} of {tried} went wrong:\n{}", wrong.len(), first.join("\n"));
    assert_eq!(tried, cases.len());
    assert!(counts.harmless.into_inner() < tried, "no damage was noticed");
}

fn times() -> usize {
    if is_long() { 10 } else { 1 }
}

fn flip(pages: &mut Pages, byte: usize, bit: u8) {
    let mut found = [0];
    pages.read(byte, &mut found).unwrap();
    pages.write(byte, &[found[0] ^ (1 << bit)]);
}

/// So many bits anywhere, and one of each byte at the very beginning, which all else depends on.
fn positions(len: usize, count: usize) -> Vec<(usize, u8)> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut at = |byte| (byte, random.u8(..8));
    let first: Vec<_> = (0..1024).map(&mut at).collect();
    let mut random = fastrand::Rng::with_seed(2);
    first.into_iter().chain((0..count).map(|_| (random.usize(..len), random.u8(..8)))).collect()
}

#[test]
fn no_flipped_bit_of_a_closed_database_is_served() {
    let state = state();
    let pages = closed(&state);
    let cases = positions(pages.len(), 21_000 * times());
    try_all("bits flipped in a closed database", &cases, |at, (byte, bit), counts| {
        let mut pages = pages.clone();
        flip(&mut pages, *byte, *bit);
        block_on(examine(&MemoryMedium::of(pages), &state, at % 32 == 0, counts))
    });
}

#[test]
fn no_flipped_bit_under_an_open_store_is_served() {
    let state = state();
    let pages = closed(&state);
    let cases = positions(pages.len(), 1_000 * times());
    try_all("bits flipped under an open store", &cases, |at, (byte, bit), counts| {
        block_on(async {
            counts.tried.fetch_add(1, Ordering::Relaxed);
            let medium = MemoryMedium::of(pages.clone()).with_cache_bytes(0);
            let store = open(&medium).await.unwrap();
            let some = state.iter().nth(at % state.len()).unwrap();
            assert_eq!(read(&store, some.0).await.unwrap().as_ref(), Some(some.1));
            medium.change(|pages| flip(pages, *byte, *bit));
            let right = read_all(&store, &state).await?;
            works_on(&store, &state).await?;
            _ = store.close(None).await;
            let count = if right { &counts.harmless } else { &counts.noticed };
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    });
}

#[test]
fn a_database_cut_off_anywhere_serves_nothing_wrong() {
    let state = state();
    let pages = closed(&state);
    let mut random = fastrand::Rng::with_seed(3);
    let anywhere = (0..400 * times()).map(|_| random.usize(..pages.len()));
    let lens: Vec<_> = (0..64).chain((1..100).map(|page| page * 4096)).chain(anywhere).collect();
    let lens: Vec<_> = lens.into_iter().filter(|len| *len < pages.len()).collect();
    try_all("a database cut off", &lens, |_, len, counts| {
        let mut pages = pages.clone();
        pages.set_len(*len);
        block_on(examine(&MemoryMedium::of(pages), &state, true, counts))
    });
}

/// Swaps the values of two rows, counted from the first.
fn swap<K: redb::Key, V: for<'a> Value<SelfType<'a> = &'a [u8]> + 'static>(
    mut table: Table<'_, K, V>,
    one: usize,
    other: usize,
    own: impl Fn(K::SelfType<'_>) -> Vec<u8>,
    with: impl Fn(&mut Table<'_, K, V>, &[u8], &[u8]),
) {
    let rows: Vec<_> = table
        .iter()
        .unwrap()
        .map(|row| row.unwrap())
        .map(|(key, value)| (own(key.value()), value.value().to_vec()))
        .collect();
    if let (Some(first), Some(second)) = (rows.get(one), rows.get(other)) {
        with(&mut table, &first.0, &second.1);
        with(&mut table, &second.0, &first.1);
    }
}

#[test]
fn no_two_swapped_values_are_served() {
    let state = state();
    let pages = closed(&state);
    let tables = ["entries", "blobs", "chunks", "totals", "recency"];
    let mut cases: Vec<_> = tables
        .into_iter()
        .flat_map(|table| (0..12).flat_map(move |one| (one + 1..12).map(move |other| (table, one, other))))
        .collect();
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..600 * times() {
        let (one, other) = (random.usize(..60), random.usize(..60));
        cases.push((tables[random.usize(..2)], one, other));
    }
    try_all("values swapped", &cases, |_, (table, one, other), counts| {
        let medium = MemoryMedium::of(pages.clone());
        let database = medium.open().unwrap();
        let write = database.begin_write().unwrap();
        let insert = |table: &mut Table<'_, &'static [u8], &'static [u8]>, key: &[u8], value: &[u8]| {
            table.insert(key, value).unwrap();
        };
        match *table {
            "entries" => swap(write.open_table(ENTRIES).unwrap(), *one, *other, <[u8]>::to_vec, insert),
            "blobs" => swap(write.open_table(BLOBS).unwrap(), *one, *other, <[u8]>::to_vec, insert),
            "totals" => swap(write.open_table(TOTALS).unwrap(), *one, *other, <[u8]>::to_vec, insert),
            "recency" => {
                let own = |stamp: u64| stamp.to_le_bytes().to_vec();
                swap(write.open_table(RECENCY).unwrap(), *one, *other, own, |table, stamp, value| {
                    table.insert(u64::from_le_bytes(stamp.try_into().unwrap()), value).unwrap();
                });
            }
            _ => {
                let own =
                    |(id, index): (u64, u32)| [id.to_le_bytes().as_slice(), &index.to_le_bytes()].concat();
                swap(write.open_table(CHUNKS).unwrap(), *one, *other, own, |table, place, value| {
                    let (id, index) = place.split_at(8);
                    let (id, index) = (id.try_into().unwrap(), index.try_into().unwrap());
                    table.insert((u64::from_le_bytes(id), u32::from_le_bytes(index)), value).unwrap();
                });
            }
        }
        write.commit().unwrap();
        drop(database);
        block_on(examine(&medium, &state, true, counts))
    });
}

/// The order of uses leads to other entries, or nowhere.
#[test]
fn a_budget_is_kept_also_if_the_order_of_uses_is_damaged() {
    let state = state();
    let pages = closed(&state);
    for (name, damage) in [("turned", 1), ("emptied", 2), ("halved", 3), ("led astray", 4)] {
        let medium = MemoryMedium::of(pages.clone());
        let database = medium.open().unwrap();
        let write = database.begin_write().unwrap();
        {
            let mut table = write.open_table(RECENCY).unwrap();
            let rows = table.iter().unwrap().map(|row| row.unwrap());
            let rows: Vec<_> = rows.map(|(stamp, key)| (stamp.value(), key.value().to_vec())).collect();
            for (at, (stamp, _)) in rows.iter().enumerate() {
                match damage {
                    1 => drop(table.insert(stamp, rows[(at + 1) % rows.len()].1.as_slice()).unwrap()),
                    4 => drop(table.insert(stamp, rows[0].1.as_slice()).unwrap()),
                    3 if at.is_multiple_of(2) => {}
                    _ => drop(table.remove(stamp).unwrap()),
                }
            }
        }
        write.commit().unwrap();
        drop(database);
        block_on(async {
            let store = open_as(&medium, options().with_max_entries(5)).await.unwrap();
            for number in 0..40 {
                let (_, contents) = state.first_key_value().unwrap();
                store.put(&key("new", number), entry(contents), PutOptions::default()).await.unwrap();
            }
            store.flush().await.unwrap();
            let usage = store.usage(&Namespace::root()).await.unwrap();
            assert!((1..=5).contains(&usage.entries), "{name}: {} entries", usage.entries);
            let newest = key("new", 39);
            assert!(read(&store, &newest).await.unwrap().is_some(), "{name}: the last one used is gone");
            store.close(None).await.unwrap();
        });
    }
}
