use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use cache_core::{Digest, DigestPrefix};
use redb::{
    Builder, Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableDefinition,
};
use tokio::task::spawn_blocking;

use crate::{
    failure::Result,
    subject::{Subject, databases::CACHE_BYTES, files::Flushes},
};

type Values = ReadOnlyTable<&'static [u8], &'static [u8]>;

const VALUES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("values");

/// One table from digests to values: nothing is sealed, verified or written down beside them.
#[derive(Debug)]
pub(crate) struct RawRedb(Database);

impl RawRedb {
    pub(crate) fn open(dir: &Path) -> Result<Arc<Self>> {
        let db = Builder::new().set_cache_size(CACHE_BYTES).create(Self::file(dir))?;
        let raw = Self(db);
        raw.insert_all(&[], Durability::Immediate)?;
        Ok(Arc::new(raw))
    }

    /// The file in this directory.
    pub(crate) fn file(dir: &Path) -> PathBuf {
        dir.join("raw.redb")
    }

    /// What is there now, in a new transaction.
    pub(crate) fn table(&self) -> Result<Values> {
        Ok(self.0.begin_read()?.open_table(VALUES)?)
    }

    /// In a new transaction, copied.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Bytes>> {
        read(&self.table()?, digest)
    }

    /// Whether it is there, in a new transaction.
    pub(crate) fn contains(&self, digest: &Digest) -> Result<bool> {
        Ok(self.table()?.get(digest.as_bytes().as_slice())?.is_some())
    }

    /// So many of those that begin with this, in a new transaction.
    pub(crate) fn names(&self, prefix: &DigestPrefix, most: usize) -> Result<Vec<Digest>> {
        let (first, last) = (prefix.first(), prefix.last());
        let range =
            self.table()?.range_owned::<&[u8]>(first.as_bytes().as_slice()..=last.as_bytes().as_slice())?;
        let mut names = Vec::new();
        for found in range.take(most) {
            names.push(Digest::from_bytes(found?.0.value().try_into()?));
        }
        Ok(names)
    }

    /// All in one transaction.
    pub(crate) fn insert_all(&self, values: &[(Digest, Bytes)], durability: Durability) -> Result<()> {
        self.replace_all(values, &[], durability)
    }

    /// Puts these and removes those, all in one transaction.
    pub(crate) fn replace_all(
        &self,
        values: &[(Digest, Bytes)],
        removed: &[Digest],
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut table = transaction.open_table(VALUES)?;
            for (digest, value) in values {
                table.insert(digest.as_bytes().as_slice(), value.as_ref())?;
            }
            for digest in removed {
                table.remove(digest.as_bytes().as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Makes the file as small as it gets.
    pub(crate) fn compact(self: Arc<Self>) -> Result<Arc<Self>> {
        let mut raw = Arc::into_inner(self).ok_or("somebody else has the database")?;
        while raw.0.compact()? {}
        Ok(Arc::new(raw))
    }

    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.table()?.len()?)
    }

    pub(crate) fn flush(&self) -> Result<()> {
        self.insert_all(&[], Durability::Immediate)
    }
}

fn read(table: &Values, digest: &Digest) -> Result<Option<Bytes>> {
    let found = table.get(digest.as_bytes().as_slice())?;
    Ok(found.map(|value| Bytes::copy_from_slice(value.value())))
}

/// One transaction for each operation, on the thread that asks.
#[derive(Debug)]
pub(crate) struct Inline(pub(crate) Arc<RawRedb>);

impl Subject for Inline {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.0.get(digest).ok().flatten()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.insert_all(&[(digest, value)], Durability::None).is_ok()
    }
}

impl Flushes for Inline {
    async fn flush(&self) -> bool {
        self.0.flush().is_ok()
    }
}

/// Reads all in one transaction, which begins with the first of them.
#[derive(Debug)]
pub(crate) struct Reused(Inline, OnceLock<Values>);

impl Reused {
    pub(crate) fn new(raw: Arc<RawRedb>) -> Self {
        Self(Inline(raw), OnceLock::new())
    }
}

impl Subject for Reused {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let table = match self.1.get() {
            Some(table) => table,
            None => {
                let table = self.0.0.table().ok()?;
                self.1.get_or_init(|| table)
            }
        };
        read(table, digest).ok().flatten()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.put(digest, value).await
    }
}

impl Flushes for Reused {
    async fn flush(&self) -> bool {
        self.0.flush().await
    }
}

/// One transaction for each operation, on a blocking thread; those that put are durable.
#[derive(Debug)]
pub(crate) struct Hop(pub(crate) Arc<RawRedb>, pub(crate) Durability);

impl Subject for Hop {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let (raw, digest) = (Arc::clone(&self.0), *digest);
        spawn_blocking(move || raw.get(&digest).ok().flatten()).await.ok()?
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        let (raw, durability) = (Arc::clone(&self.0), self.1);
        matches!(
            spawn_blocking(move || raw.insert_all(&[(digest, value)], durability).is_ok()).await,
            Ok(true)
        )
    }
}

impl Flushes for Hop {
    async fn flush(&self) -> bool {
        let raw = Arc::clone(&self.0);
        matches!(spawn_blocking(move || raw.flush().is_ok()).await, Ok(true))
    }
}
