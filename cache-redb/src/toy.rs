//! As much of a store as large blobs need, in memory, for tests.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use cache_core::{BlobName, BlockingTasks, ByteStream, Digest, Error, ErrorKind, Key, PutBlob, Result};
use futures::{FutureExt, future::BoxFuture};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, backends::InMemoryBackend};

use crate::{
    chunks::{CHUNKS, ChunkIds, ChunkTable, ChunkTables, LOOSE, Part, ids_of},
    contain::Fault,
    large_blob::LargeBlob,
    prepared::{Body, PreparedBlob},
    reading::Readings,
    stage::{PutLimits, StageQueue, prepare},
    stream::{ChunkSnapshot, StreamSource, pieces},
    stub::{BlobValue, Stub},
};

/// Bytes that are the same nowhere, not even a chunk or a block apart.
pub(crate) fn payload(len: usize) -> Bytes {
    let words = (0..len as u64 / 8 + 1).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let mut bytes: Vec<u8> = words.collect();
    bytes.truncate(len);
    bytes.into()
}

pub(crate) fn key() -> Key {
    Key::from(Digest::of("key"))
}

pub(crate) fn in_hand(bytes: Bytes) -> PutBlob {
    PutBlob::Bytes(bytes)
}

/// A stream of these pieces.
pub(crate) fn streamed(pieces: Vec<Result<Bytes>>) -> PutBlob {
    PutBlob::Stream { len: None, stream: Box::pin(futures::stream::iter(pieces)) }
}

/// A stream of pieces of this size.
pub(crate) fn in_pieces(bytes: &Bytes, size: usize) -> PutBlob {
    streamed(bytes.chunks(size).map(|piece| Ok(bytes.slice_ref(piece))).collect())
}

/// The value of a blob's row.
pub(crate) fn value_of(blob: &PreparedBlob) -> Vec<u8> {
    match &blob.body {
        Body::Inline { header, payload, trailer } => [&header[..], payload, trailer].concat(),
        Body::Chunked(chunked) => {
            let mut value = Vec::new();
            chunked.stub.encode(&mut value);
            value
        }
    }
}

/// What a part has: its id, the number of its first chunk, and how many there are.
pub(crate) type PartShape = (u64, u32, usize);

#[derive(Debug)]
pub(crate) struct Toy {
    database: Mutex<Option<Database>>,
    generation: AtomicU64,
    pub(crate) ids: ChunkIds,
    pub(crate) readings: Arc<Readings>,
    tasks: BlockingTasks,
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) staged: Mutex<Vec<PartShape>>,
    /// Also what could be removed when a stream has ended.
    pub(crate) discarded: Arc<Mutex<Vec<u64>>>,
    pub(crate) damaged: Mutex<Vec<u64>>,
    pub(crate) faults: AtomicUsize,
    /// The part whose staging fails.
    pub(crate) fails_at: AtomicUsize,
    pub(crate) hangs: AtomicBool,
    /// Whether the database is written anew under the next snapshot.
    pub(crate) is_rebuilt_next: AtomicBool,
}

fn empty() -> Database {
    // Without a cache, what is closed can be read no more.
    Database::builder().set_cache_size(0).create_with_backend(InMemoryBackend::new()).unwrap()
}

#[derive(Debug)]
pub(crate) struct ToySnapshot {
    generation: u64,
    chunks: ChunkTable,
}

impl ChunkSnapshot for ToySnapshot {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn chunks(&self) -> &ChunkTable {
        &self.chunks
    }
}

impl Toy {
    pub(crate) fn new() -> Arc<Self> {
        let discarded: Arc<Mutex<Vec<u64>>> = Arc::default();
        let released = Arc::clone(&discarded);
        let toy = Self {
            database: Mutex::default(),
            generation: AtomicU64::new(0),
            ids: ChunkIds::default(),
            readings: Readings::new(move |id| released.lock().unwrap().push(id)),
            tasks: BlockingTasks::new("redb"),
            values: Mutex::default(),
            staged: Mutex::default(),
            discarded,
            damaged: Mutex::default(),
            faults: AtomicUsize::new(0),
            fails_at: AtomicUsize::new(usize::MAX),
            hangs: AtomicBool::new(false),
            is_rebuilt_next: AtomicBool::new(false),
        };
        toy.replace_database();
        Arc::new(toy)
    }

    /// As after damage: an empty one takes its place.
    pub(crate) fn replace_database(&self) {
        *self.database.lock().unwrap() = Some(empty());
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.write(|_| Ok(()));
        self.ids.opened(self.ids_of().0).unwrap();
    }

    pub(crate) fn close(&self) {
        self.database.lock().unwrap().take();
    }

    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut ChunkTables<'_>) -> Result<T, redb::Error>) -> T {
        let database = self.database.lock().unwrap();
        let transaction = database.as_ref().unwrap().begin_write().unwrap();
        let done = work(&mut ChunkTables::open(&transaction).unwrap()).unwrap();
        transaction.commit().unwrap();
        done
    }

    /// Changes the rows of chunks as nobody should.
    pub(crate) fn tamper(&self, work: impl FnOnce(&mut redb::Table<'_, (u64, u32), &'static [u8]>)) {
        let database = self.database.lock().unwrap();
        let transaction = database.as_ref().unwrap().begin_write().unwrap();
        work(&mut transaction.open_table(CHUNKS).unwrap());
        transaction.commit().unwrap();
    }

    fn ids_of(&self) -> (Option<u64>, VecDeque<u64>) {
        ids_of(&self.database.lock().unwrap().as_ref().unwrap().begin_read().unwrap()).unwrap()
    }

    /// How many chunks there are, and how many ids are loose.
    pub(crate) fn rows(&self) -> (u64, u64) {
        let database = self.database.lock().unwrap();
        let transaction = database.as_ref().unwrap().begin_read().unwrap();
        let chunks = transaction.open_table(CHUNKS).unwrap();
        let loose = transaction.open_table(LOOSE).unwrap();
        (chunks.len().unwrap(), loose.len().unwrap())
    }

    pub(crate) async fn prepare(
        self: &Arc<Self>,
        blobs: Vec<(&str, PutBlob)>,
        limits: PutLimits,
    ) -> Result<Option<Vec<PreparedBlob>>> {
        let queue: Arc<dyn StageQueue> = self.clone();
        let blobs = blobs.into_iter().map(|(name, blob)| (BlobName::new(name).unwrap(), blob));
        prepare(&queue, &key(), blobs.collect(), limits).await
    }

    /// Writes prepared blobs as one entry; those of the same names are replaced.
    pub(crate) fn publish(&self, blobs: &[PreparedBlob]) -> Result<()> {
        for blob in blobs {
            if let Body::Chunked(chunked) = &blob.body {
                self.write(|tables| tables.publish(&self.ids, &chunked.tail))?;
                chunked.upload.keep();
            }
            let old = self.values.lock().unwrap().insert(blob.name.to_string(), value_of(blob));
            if let Some(old) = old
                && BlobValue::of(&old).unwrap() == BlobValue::Chunked
            {
                self.write(|tables| tables.mark_loose(Stub::decode(&old).unwrap().id));
            }
        }
        Ok(())
    }

    pub(crate) async fn put(self: &Arc<Self>, name: &str, blob: PutBlob) -> Result<()> {
        let blobs = self.prepare(vec![(name, blob)], PutLimits::default()).await?;
        self.publish(&blobs.unwrap())
    }

    pub(crate) fn value(&self, name: &str) -> Vec<u8> {
        self.values.lock().unwrap()[name].clone()
    }

    pub(crate) fn stub(&self, name: &str) -> Stub {
        Stub::decode(&self.value(name)).unwrap()
    }

    pub(crate) fn large_blob(&self, name: &str) -> LargeBlob {
        LargeBlob::open(&key(), &BlobName::new(name).unwrap(), &self.stub(name)).unwrap()
    }

    pub(crate) fn read(&self, name: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
        let blob = self.large_blob(name);
        blob.read(self.snapshot().unwrap().chunks(), range).unwrap()
    }

    /// Streams a range of a large blob.
    pub(crate) fn stream(self: &Arc<Self>, name: &str, range: std::ops::Range<u64>) -> ByteStream {
        let look = || {
            let blob = self.large_blob(name);
            Ok::<_, ()>(Some((vec![blob.id()], (blob, self.snapshot().unwrap().generation()))))
        };
        let (mut held, (blob, generation)) = self.readings.hold(look).unwrap().unwrap();
        pieces(Arc::clone(self), key(), blob, generation, held.pop().unwrap(), range)
    }

    /// Removes all loose chunks that nobody reads.
    pub(crate) fn sweep(&self) {
        for id in self.ids_of().1 {
            if self.readings.may_remove(id) {
                while !self.write(|tables| tables.remove_some(id, 3)) {}
            }
        }
    }
}

impl StageQueue for Toy {
    fn next_id(&self) -> u64 {
        self.ids.take()
    }

    fn stage(&self, part: Part) -> BoxFuture<'_, Result<()>> {
        async move {
            tokio::task::yield_now().await;
            let number = {
                let mut staged = self.staged.lock().unwrap();
                staged.push((part.id, part.first_index, part.chunks.len()));
                staged.len()
            };
            let done = self.write(|tables| tables.stage(&self.ids, &part));
            if self.hangs.load(Ordering::Relaxed) {
                futures::future::pending::<()>().await;
            }
            if number == self.fails_at.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::NoSpace, "redb", "put"));
            }
            done
        }
        .boxed()
    }

    fn discard(&self, id: u64) {
        self.discarded.lock().unwrap().push(id);
    }
}

impl StreamSource for Toy {
    type Snapshot = ToySnapshot;

    fn snapshot(&self) -> Result<Arc<ToySnapshot>> {
        let mut place = self.database.lock().unwrap();
        let database = place.as_ref().ok_or_else(|| Error::new(ErrorKind::Closed, "", ""))?;
        let chunks = database.begin_read().unwrap().open_table(CHUNKS).unwrap();
        if self.is_rebuilt_next.swap(false, Ordering::Relaxed) {
            let rebuilt = empty();
            let transaction = rebuilt.begin_write().unwrap();
            let mut table = transaction.open_table(CHUNKS).unwrap();
            for row in chunks.iter().unwrap() {
                let (key, chunk) = row.unwrap();
                table.insert(key.value(), chunk.value()).unwrap();
            }
            drop(table);
            transaction.commit().unwrap();
            *place = Some(rebuilt);
        }
        Ok(Arc::new(ToySnapshot { generation: self.generation.load(Ordering::Relaxed), chunks }))
    }

    fn tasks(&self) -> &BlockingTasks {
        &self.tasks
    }

    fn damaged(&self, key: &Key, id: u64) {
        assert_eq!(*key, self::key());
        self.damaged.lock().unwrap().push(id);
    }

    fn failed(&self, _generation: u64, _fault: &Fault) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }
}
