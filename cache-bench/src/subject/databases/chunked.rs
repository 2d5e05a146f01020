use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cache_core::Digest;
use redb::{Builder, Database, Durability, ReadableDatabase, TableDefinition};
use tokio::task::spawn_blocking;

use crate::{
    failure::Result,
    subject::{Subject, databases::CACHE_BYTES, files::Flushes},
};

const CHUNKS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("chunks");

/// Large values in pieces, each put in one transaction, on a blocking thread: nothing is sealed or verified.
#[derive(Debug)]
pub(crate) struct Chunked {
    db: Arc<Database>,
    /// The bytes of a piece.
    piece: usize,
}

impl Chunked {
    pub(crate) fn open(dir: &Path, piece: usize) -> Result<Self> {
        let db = Builder::new().set_cache_size(CACHE_BYTES).create(dir.join("raw.redb"))?;
        put(&db, Durability::Immediate, None)?;
        Ok(Self { db: Arc::new(db), piece })
    }
}

fn key(digest: &Digest, index: u32) -> [u8; 36] {
    let mut key = [0; 36];
    let bytes = digest.as_bytes().iter().chain(&index.to_be_bytes()).copied().collect::<Vec<_>>();
    key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    key
}

fn put(db: &Database, durability: Durability, value: Option<(&Digest, &[u8], usize)>) -> Result<()> {
    let mut transaction = db.begin_write()?;
    transaction.set_durability(durability)?;
    {
        let mut table = transaction.open_table(CHUNKS)?;
        if let Some((digest, value, piece)) = value {
            for (index, chunk) in (0..).zip(value.chunks(piece)) {
                table.insert(key(digest, index).as_slice(), chunk)?;
            }
        }
    }
    Ok(transaction.commit()?)
}

fn get(db: &Database, digest: &Digest) -> Result<Bytes> {
    let table = db.begin_read()?.open_table(CHUNKS)?;
    let (first, last) = (key(digest, 0), key(digest, u32::MAX));
    let mut value = Vec::with_capacity(4 << 20);
    for chunk in table.range_owned::<&[u8]>(first.as_slice()..=last.as_slice())? {
        value.extend_from_slice(chunk?.1.value());
    }
    Ok(value.into())
}

impl Subject for Chunked {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let (db, digest) = (Arc::clone(&self.db), *digest);
        spawn_blocking(move || get(&db, &digest).ok()).await.ok()?
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        let (db, piece) = (Arc::clone(&self.db), self.piece);
        let put = move || put(&db, Durability::None, Some((&digest, &value, piece))).is_ok();
        matches!(spawn_blocking(put).await, Ok(true))
    }
}

impl Flushes for Chunked {
    async fn flush(&self) -> bool {
        let db = Arc::clone(&self.db);
        matches!(spawn_blocking(move || put(&db, Durability::Immediate, None).is_ok()).await, Ok(true))
    }
}
