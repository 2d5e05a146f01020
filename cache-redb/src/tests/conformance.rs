//! The suite, with ways to reach behind the store: rows changed, what lies below made to fail, deaths at any moment.

use std::{
    sync::{Arc, Mutex, Weak},
    thread::sleep,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{CLAUSES, Crash, Damage, Factory, Failures, Outcome, Setup};
use cache_core::{Key, Result, Store};
use redb::{ReadableTable, Table, WriteTransaction};

use super::{open_as, options};
use crate::{
    RedbOptions,
    chunks::CHUNKS,
    contain::Fault,
    engine::Engine,
    medium::Medium,
    memory_medium::MemoryMedium,
    rows::{BLOBS, ENTRIES, EntryRow, RowKey, names_of},
};

struct InMemory {
    medium: MemoryMedium,
    options: RedbOptions,
    /// Of the store that was opened last.
    engine: Mutex<Weak<Engine>>,
}

impl InMemory {
    fn new(medium: MemoryMedium, options: RedbOptions) -> Self {
        Self { medium, options, engine: Mutex::default() }
    }

    /// Every change of the store is one of the medium, and nearly every read if there is no memory for pages.
    fn thin(cache_bytes: usize) -> Self {
        Self::new(MemoryMedium::new().with_cache_bytes(cache_bytes), options().with_durable_puts(true))
    }

    /// Changes rows behind the back of the store, open or closed.
    fn change<T>(&self, mut change: impl FnMut(&WriteTransaction) -> T) -> T {
        loop {
            match self.medium.open() {
                Ok(database) => {
                    let transaction = database.begin_write().unwrap();
                    let answer = change(&transaction);
                    transaction.commit().unwrap();
                    return answer;
                }
                Err(Fault::Refused(_)) => {}
                Err(fault) => panic!("{fault:?}"),
            }
            let engine = self.engine.lock().unwrap().upgrade();
            if let Some(engine) = engine
                && let Some(writer) = engine.unpark()
            {
                let answer = writer.tamper(&engine, &mut change);
                engine.park(writer);
                if let Some(answer) = answer {
                    return answer;
                }
            }
            // It is just being closed, or ends something.
            sleep(Duration::from_millis(1));
        }
    }
}

#[async_trait]
impl Factory for InMemory {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = self.options.clone();
        let options = options.with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
        let store = open_as(&self.medium, options).await?;
        *self.engine.lock().unwrap() = Arc::downgrade(store.engine());
        Ok(Arc::new(store))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        Some(self)
    }

    fn failures(&self) -> Option<&dyn Failures> {
        Some(self)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(self)
    }
}

#[async_trait]
impl Crash for InMemory {
    async fn crash(&self) -> Result<()> {
        self.medium.crash();
        Ok(())
    }
}

impl Failures for InMemory {
    fn operations(&self) -> u64 {
        self.medium.operations()
    }

    fn fail(&self, nth: u64) {
        self.medium.fail(nth);
    }
}

/// A row that holds something of an entry, as text.
enum Row {
    Entry(Vec<u8>),
    Blob(Vec<u8>),
    Chunk(u64, u32),
}

impl Row {
    fn text(&self) -> String {
        let digits = |key: &[u8]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self {
            Self::Entry(key) => format!("entries {}", digits(key)),
            Self::Blob(key) => format!("blobs {}", digits(key)),
            Self::Chunk(id, index) => format!("chunks {id} {index}"),
        }
    }

    fn parse(text: &str) -> Self {
        let parts: Vec<_> = text.split(' ').collect();
        let key = || {
            let pairs = parts[1].as_bytes().chunks(2);
            pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
        };
        match parts[0] {
            "entries" => Self::Entry(key()),
            "blobs" => Self::Blob(key()),
            _ => Self::Chunk(parts[1].parse().unwrap(), parts[2].parse().unwrap()),
        }
    }
}

#[async_trait]
impl Damage for InMemory {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        Ok(self.change(|transaction| {
            let entry = RowKey::entry(key.view()).as_bytes().to_vec();
            let (mut rows, mut ids) = (Vec::new(), Vec::new());
            let entries = transaction.open_table(ENTRIES).unwrap();
            if let Some(row) = entries.get(entry.as_slice()).unwrap() {
                let row = EntryRow::decode(&entry, row.value());
                ids.extend(row.into_iter().flat_map(|row| row.blobs).filter_map(|blob| blob.id));
                rows.push(Row::Entry(entry.clone()));
            }
            let names = names_of(&entry);
            let blobs = transaction.open_table(BLOBS).unwrap();
            for row in blobs.range(names.start.as_slice()..names.end.as_slice()).unwrap() {
                rows.push(Row::Blob(row.unwrap().0.value().to_vec()));
            }
            let chunks = transaction.open_table(CHUNKS).unwrap();
            for id in ids {
                for row in chunks.range((id, 0)..=(id, u32::MAX)).unwrap() {
                    rows.push(Row::Chunk(id, row.unwrap().0.value().1));
                }
            }
            rows.iter().map(Row::text).collect()
        }))
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        Ok(self.change(|transaction| {
            let row = match Row::parse(object) {
                Row::Entry(key) => of(&transaction.open_table(ENTRIES).unwrap(), key.as_slice()),
                Row::Blob(key) => of(&transaction.open_table(BLOBS).unwrap(), key.as_slice()),
                Row::Chunk(id, index) => of(&transaction.open_table(CHUNKS).unwrap(), (id, index)),
            };
            row.unwrap()
        }))
    }

    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        self.change(|transaction| match Row::parse(object) {
            Row::Entry(key) => drop(transaction.open_table(ENTRIES).unwrap().insert(key.as_slice(), &*bytes)),
            Row::Blob(key) => drop(transaction.open_table(BLOBS).unwrap().insert(key.as_slice(), &*bytes)),
            Row::Chunk(id, index) => {
                drop(transaction.open_table(CHUNKS).unwrap().insert((id, index), &*bytes));
            }
        });
        Ok(())
    }

    async fn remove(&self, object: &str) -> Result<()> {
        self.change(|transaction| match Row::parse(object) {
            Row::Entry(key) => drop(transaction.open_table(ENTRIES).unwrap().remove(key.as_slice())),
            Row::Blob(key) => drop(transaction.open_table(BLOBS).unwrap().remove(key.as_slice())),
            Row::Chunk(id, index) => drop(transaction.open_table(CHUNKS).unwrap().remove((id, index))),
        });
        Ok(())
    }
}

fn of<'a, K: redb::Key>(
    table: &Table<'_, K, &'static [u8]>,
    key: impl std::borrow::Borrow<K::SelfType<'a>>,
) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(table.get(key).unwrap()?.value()))
}

mod in_memory {
    use super::{InMemory, MemoryMedium, options};

    cache_conformance::suite! { InMemory::new(MemoryMedium::new(), options()), handles: [damage, crash] }
}

mod thin {
    use super::InMemory;

    cache_conformance::suite! { InMemory::thin(64 << 10), handles: [damage, failures, crash] }
}

/// Those clauses that do not ask for more operations then than they try.
#[test]
fn reads_and_changes_that_fail_below_without_memory_for_pages() {
    let clauses = CLAUSES.iter().filter(|clause| clause.group == "faults");
    for clause in clauses.filter(|clause| clause.id != "failed_clean_leaves_whole_entries") {
        assert_eq!(clause.run(InMemory::thin(0)), Outcome::Passed, "{}: {}", clause.id, clause.requirement);
    }
}

mod cold {
    use super::{InMemory, MemoryMedium, options};

    cache_conformance::suite! {
        InMemory::new(MemoryMedium::new().with_cache_bytes(64 << 10).cold(), options()),
        handles: [damage, crash]
    }
}
