//! A store over an engine of others, fjall: all that it takes.
//!
//! Each blob is one value, sealed in an [`Envelope`], under a key that tells all of the blob but its bytes. So a
//! listing reads keys only, any read is one scan of one version, and a put is one transaction.

use std::{error::Error as _, path::Path, sync::Arc, time::Duration, time::UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobMeta, BlobName, BlockingEngine, CleanPolicy, CleanReport, Clock, CloseReport, Counters,
    EntryMeta, EntryRead, Envelope, Error, ErrorKind, FlushReport, GetOptions, Key, KeyManagement, KeyView,
    ListOptions, Metrics, Namespace, Powers, PutEntry, PutMode, PutOptions, PutOutcome, Result, Store,
    StoreInfo, SystemClock, Usage, clean_by_listing, usage_by_listing,
};
use fjall::{KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable};
use fjall::{SingleWriterTxDatabase as Database, SingleWriterTxKeyspace as Keyspace, SingleWriterWriteTx};
use futures::stream::BoxStream;

/// What the keys of an entry's rows, or of the row of one blob, begin with. They order as [`Key`]s do. Behind it
/// stand the length of the blob, and when it was made: the time since 1970, or before it.
pub(crate) fn prefix(key: &Key, name: Option<&BlobName>) -> String {
    let name = name.map(|name| format!("{}\0", name.as_str())).unwrap_or_default();
    format!("{}\0{}\0{name}", key.namespace.encoded(), key.digest)
}

fn parse(row: &[u8]) -> Option<(Key, BlobMeta)> {
    let mut parts = row.splitn(4, |byte| *byte == 0);
    let mut text = || str::from_utf8(parts.next()?).ok();
    let key = Key::new(Namespace::decode(text()?)?, text()?.parse().ok()?);
    let name = BlobName::new(text()?).ok()?;
    let (bytes, since): (u64, Result<_, _>) = postcard::from_bytes(parts.next()?).ok()?;
    let created = since.map_or_else(|to| UNIX_EPOCH.checked_sub(to), |since| UNIX_EPOCH.checked_add(since));
    Some((key, BlobMeta::new(name, bytes, created)))
}

fn failed(error: fjall::Error) -> Error {
    let kind = match error {
        fjall::Error::Io(error) => return Error::from_io("", "", error),
        fjall::Error::Locked => ErrorKind::Locked,
        // What the file system fails with has a source, damage has none.
        fjall::Error::Storage(ref error) if error.source().is_none() => ErrorKind::Corrupt,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "", "").with_source(error)
}

/// An open database, all of which may wait for the disk.
pub(crate) struct Engine {
    pub(crate) db: Database,
    pub(crate) rows: Keyspace,
    info: StoreInfo,
}

impl Engine {
    pub(crate) fn open(dir: &Path, max_blob_bytes: Option<u64>) -> Result<Self> {
        let mut powers = Powers::default();
        (powers.durable, powers.dated) = (true, true);
        let max = max_blob_bytes.unwrap_or(u64::MAX).min(1 << 30); // They pass through memory whole.
        let info = StoreInfo::new("fjall", dir.display().to_string(), powers).with_max_blob_bytes(Some(max));
        let db = Database::builder(dir).open().map_err(failed)?;
        // Large values apart from their keys, which is what makes scans of keys cheap.
        let apart = KeyspaceCreateOptions::default().with_kv_separation(Some(KvSeparationOptions::default()));
        let rows = db.keyspace("blobs", || apart).map_err(failed)?;
        Ok(Self { db, rows, info })
    }

    fn describe(&self, key: Key, blobs: Vec<BlobMeta>) -> EntryMeta {
        EntryMeta::of_sealed(key, blobs).with_place("fjall", self.info.location.clone())
    }

    /// One version of an entry: the blob of that name, or all. Damage takes the whole entry.
    fn read(&self, key: &Key, name: Option<&BlobName>, options: &GetOptions) -> Result<Option<EntryRead>> {
        let damaged = |found: &Result<_>| matches!(found, Err(error) if error.kind() == ErrorKind::Corrupt);
        let found = self.look(key, name, options);
        if damaged(&found) {
            let tx = self.db.write_tx(); // From here on nobody else writes.
            if damaged(&self.look(key, name, options)) {
                self.remove(tx, key)?;
            }
        }
        found
    }

    fn look(&self, key: &Key, name: Option<&BlobName>, options: &GetOptions) -> Result<Option<EntryRead>> {
        let (mut known, mut blobs) = (Vec::new(), Vec::new());
        for row in self.db.read_tx().prefix(&self.rows, prefix(key, name)) {
            let (row, sealed) = row.into_inner().map_err(failed)?;
            let Some((_, blob)) = parse(&row) else { continue };
            if self.info.max_blob_bytes.is_some_and(|max| blob.bytes > max) {
                return Err(Error::new(ErrorKind::TooLarge, "", ""));
            }
            // A copy, so that who keeps it does not keep the engine's memory.
            blobs.push((blob.name.clone(), Bytes::copy_from_slice(&sealed)));
            known.push(blob);
        }
        EntryRead::open(self.describe(key.clone(), known), blobs, name.and(options.range))
    }

    fn remove(&self, mut tx: SingleWriterWriteTx<'_>, key: &Key) -> Result<()> {
        for row in self.db.read_tx().prefix(&self.rows, prefix(key, None)) {
            tx.remove(&self.rows, row.key().map_err(failed)?);
        }
        tx.commit().map_err(failed)
    }

    fn write(&self, key: &Key, mut blobs: Vec<(BlobName, Bytes)>, options: &PutOptions) -> Result<()> {
        let created = options.created.unwrap_or_else(|| SystemClock.now());
        let since = created.duration_since(UNIX_EPOCH).map_err(|before| before.duration());
        let mut tx = self.db.write_tx();
        for row in self.db.read_tx().prefix(&self.rows, prefix(key, None)) {
            let row = row.key().map_err(failed)?;
            let is_there = |name: &BlobName| parse(&row).is_some_and(|(_, there)| there.name == *name);
            match options.mode {
                PutMode::Fill => blobs.retain(|(name, _)| !is_there(name)),
                PutMode::Merge if !blobs.iter().any(|(name, _)| is_there(name)) => {}
                PutMode::Merge | PutMode::Replace => tx.remove(&self.rows, row),
            }
        }
        for (name, bytes) in blobs {
            let told = (bytes.len() as u64, since);
            let row = postcard::to_extend(&told, prefix(key, Some(&name)).into_bytes());
            let row = row.map_err(|error| Error::new(ErrorKind::Internal, "", "").with_source(error))?;
            tx.insert(&self.rows, row, Envelope::seal(key, &name, &bytes));
        }
        tx.commit().map_err(failed)
    }

    /// The first entries of those asked for.
    fn page(&self, options: &ListOptions) -> Result<Vec<EntryMeta>> {
        let mut page: Vec<(Key, Vec<BlobMeta>)> = Vec::new();
        for row in self.db.read_tx().range(&self.rows, prefix(&options.first(), None)..) {
            let Some((key, blob)) = parse(&row.key().map_err(failed)?) else { continue };
            if let Some((_, blobs)) = page.last_mut().filter(|(last, _)| *last == key) {
                blobs.push(blob);
            } else if Some(page.len()) == options.limit || options.ends_before(&key) {
                break;
            } else if options.admits(&key) {
                page.push((key, vec![blob]));
            }
        }
        Ok(page.into_iter().map(|(key, blobs)| self.describe(key, blobs)).collect())
    }
}

/// A store in a directory of its own. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct FjallStore {
    pub(crate) engine: BlockingEngine<Engine>,
    counters: Arc<Counters>,
    info: StoreInfo,
}

impl FjallStore {
    /// Waits for the disk.
    pub(crate) fn open(dir: &Path, max_blob_bytes: Option<u64>) -> Result<Self> {
        let engine = Engine::open(dir, max_blob_bytes)?;
        let info = engine.info.clone();
        Ok(Self { engine: BlockingEngine::new("fjall", engine), counters: Arc::default(), info })
    }
}

#[async_trait]
impl KeyManagement for FjallStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let answer = self.meta(key).await.map(|meta| meta.is_some());
        self.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let key = key.clone();
        self.engine.write("evict", move |engine| engine.remove(engine.db.write_tx(), &key)).await?;
        self.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        self.engine.list(options, Engine::page)
    }
}

#[async_trait]
impl Store for FjallStore {
    fn info(&self) -> StoreInfo {
        self.info.clone()
    }

    fn metrics(&self) -> Metrics {
        self.counters.snapshot()
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None // Any read may have to wait for the disk.
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let (key, name, how) = (key.clone(), blob.clone(), options.clone());
        let read = self.engine.read("get", move |engine| engine.read(&key, Some(&name), &how)).await;
        let found = read.map(|read| read.and_then(|mut read| read.take(blob)));
        self.counters.read_with(&options, &found, Blob::len);
        found
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let (key, how) = (key.clone(), options.clone());
        let found = self.engine.read("get_entry", move |engine| engine.read(&key, None, &how)).await;
        self.counters.read_with(&options, &found, |read| read.meta.counted_bytes());
        found
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let (mut bytes, to) = (0, key.clone());
        let written = async {
            let blobs = entry.collect(self.info.max_blob_bytes).await?;
            bytes = blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            self.engine.write("put", move |engine| engine.write(&to, blobs, &options)).await
        };
        let outcome = written.await.map(|()| PutOutcome::stored());
        let outcome = outcome.map_err(|error| error.at("fjall", "put").with_key(key));
        self.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let only = ListOptions::of(&key.namespace).with_prefix(key.digest.into()).with_limit(1);
        Ok(self.engine.read("meta", move |engine| engine.page(&only)).await?.pop())
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        usage_by_listing(self, scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let evicted = |entry: &EntryMeta| self.counters.eviction(entry.counted_bytes());
        clean_by_listing(self, scope, policy, SystemClock.now(), evicted).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        let sync = |engine: &Engine| engine.db.persist(PersistMode::SyncAll).map_err(failed);
        let flushed = self.engine.read("flush", sync).await;
        self.counters.flush(flushed.is_ok());
        flushed.map(|()| FlushReport::durable(0))
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.engine.close(deadline).await
    }
}
