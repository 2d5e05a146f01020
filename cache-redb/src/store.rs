//! The traits, for a database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutEntry,
    PutMode, PutOptions, PutOutcome, Refusal, Result, Store, StoreInfo, Usage, list_by_pages,
};
use futures::stream::BoxStream;

use crate::{
    clean::clean,
    engine::Steady,
    list::{FEW, Page, page},
    queue::{Only, Op, Put},
    redb_store::RedbStore,
    rows::{RowKey, TOTALS, Totals},
    snapshot::Snapshot,
    stage::{PutLimits, prepare},
};

/// Entries that are listed in one go.
const PAGE: usize = 256;

#[async_trait]
impl KeyManagement for RedbStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let row_key = RowKey::entry(key.view());
        let look = move |snapshot: &Snapshot| Ok(snapshot.entries.get(row_key.as_bytes())?.is_some());
        let engine = self.engine();
        let answer = if engine.medium.is_cold() {
            engine.read_blocking("contains", look).await
        } else {
            engine.read("contains", look).await
        };
        let answer = answer.map_err(|error| error.with_key(key));
        engine.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.remove(key, "evict").await?;
        self.engine().counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let engine = Arc::clone(self.engine());
        list_by_pages(options, PAGE, move |asked| {
            let engine = Arc::clone(&engine);
            async move {
                let mut asked = asked;
                loop {
                    let (of, options) = (Arc::clone(&engine), asked.clone());
                    let few = asked.limit.is_some_and(|limit| limit <= FEW);
                    let look = move |snapshot: &_, _steady: Steady<'_>| page(&of, snapshot, &options);
                    let Page { entries, lost } = engine.read_steady("list", few, look).await?;
                    for key in &lost {
                        engine.counters.corrupt();
                        engine.forsake(key, Only::Unreadable);
                    }
                    // An empty page is the end of the listing.
                    match lost.last() {
                        Some(last) if entries.is_empty() => asked.start_after = Some(last.clone()),
                        _ => return Ok(entries),
                    }
                }
            }
        })
    }
}

#[async_trait]
impl Store for RedbStore {
    fn info(&self) -> StoreInfo {
        let mut powers = Powers::default();
        (powers.durable, powers.bounded, powers.recency, powers.streaming) = (true, true, true, true);
        powers.dated = true;
        let options = &self.engine().options;
        StoreInfo::new("redb", self.engine().medium.location(), powers)
            .with_max_bytes(options.max_bytes)
            .with_max_entries(options.max_entries)
            .with_max_blob_bytes(options.max_blob_bytes)
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.engine().counters.snapshot();
        let held = self.engine().held();
        (metrics.resident_bytes, metrics.entries) = (Some(held.bytes), Some(held.entries));
        metrics
    }

    /// Answers what is small and at hand, verified.
    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let bytes = self.get_inline(key, blob)?;
        self.engine().counters.hit(bytes.len() as u64);
        Some(bytes)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = self.read_blob(key, blob, &options).await.map_err(|error| error.with_key(key));
        self.engine().counters.read_with(&options, &read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let read = self.read_entry(key, &options).await.map_err(|error| error.with_key(key));
        self.engine().counters.read_with(&options, &read, |entry| entry.meta.counted_bytes());
        read
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let put = self.put_entry(key, entry, options).await;
        let bytes = put.as_ref().map_or(0, |(_, bytes)| *bytes);
        let outcome = put.map(|(outcome, _)| outcome).map_err(|error| error.at("redb", "put").with_key(key));
        self.engine().counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let engine = self.engine();
        let (of, asked) = (Arc::clone(engine), key.clone());
        let look = move |snapshot: &Snapshot, _steady: Steady<'_>| {
            let row_key = RowKey::entry(asked.view());
            let Some(row) = snapshot.entries.get(row_key.as_bytes())? else { return Ok(Ok(None)) };
            Ok(of.meta(asked.clone(), row_key.as_bytes(), row.value()).map(Some).ok_or(()))
        };
        match engine.read_steady("meta", true, look).await.map_err(|error| error.with_key(key))? {
            Ok(meta) => Ok(meta),
            // What nobody can read is not there.
            Err(()) => {
                engine.counters.corrupt();
                engine.forsake(key, Only::Unreadable);
                Ok(None)
            }
        }
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let scope = scope.clone();
        let look = move |snapshot: &Snapshot| {
            let mut usage = Totals::default();
            let encoded = scope.encoded().as_bytes();
            for row in snapshot.tx.open_table(TOTALS)?.range(encoded..)? {
                let (namespace, row) = row?;
                let namespace = namespace.value();
                if !namespace.starts_with(encoded) {
                    break;
                }
                let inner = str::from_utf8(namespace).ok().and_then(Namespace::decode);
                if inner.is_some_and(|inner| scope.covers(&inner)) {
                    usage.add(match Totals::decode(namespace, row.value()) {
                        Some(totals) => totals,
                        None => crate::batch::count(&snapshot.entries, namespace)?,
                    });
                }
            }
            Ok(usage)
        };
        self.engine().read_blocking("usage", look).await.map(Usage::from)
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        self.writable("clean")?;
        clean(self.engine(), scope, policy).await
    }

    /// Evictions that are due, and one durable commit.
    async fn flush(&self) -> Result<FlushReport> {
        let engine = self.engine();
        let flushed = match (engine.options.read_only, engine.is_closed()) {
            (true, false) => Ok(0),
            // Nobody would answer.
            (true, true) => Err(engine.closed("flush")),
            (false, _) => engine.ask("flush", |reply| Op::Flush { reply }).await,
        };
        engine.counters.flush(flushed.is_ok());
        flushed.map(FlushReport::durable)
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.close(deadline).await
    }
}

impl RedbStore {
    /// Whether something may be changed.
    fn writable(&self, operation: &'static str) -> Result<()> {
        let engine = self.engine();
        if engine.is_closed() {
            return Err(engine.closed(operation));
        }
        if engine.options.read_only {
            let error = Error::new(ErrorKind::Unsupported, "redb", operation);
            return Err(error.with_detail("the database is open to be looked into only"));
        }
        Ok(())
    }

    async fn remove(&self, key: &Key, operation: &'static str) -> Result<()> {
        self.writable(operation)?;
        let asked = key.clone();
        let removed =
            self.engine().ask(operation, |reply| Op::Remove { key: asked, only: Only::Any, reply }).await;
        removed.map(|_| ()).map_err(|error| error.with_key(key))
    }

    async fn put_entry(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<(PutOutcome, u64)> {
        self.writable("put")?;
        let engine = self.engine();
        let limits = &engine.options;
        entry.check(limits.max_blob_bytes)?;
        if let Some(reason) = entry.refusal(limits.max_bytes) {
            return self.refuse(key, options.mode, reason).await;
        }
        let created = options.created.unwrap_or_else(|| engine.clock.now());
        let limits = PutLimits { max_blob_bytes: limits.max_blob_bytes, max_bytes: limits.max_bytes };
        let Some(blobs) = prepare(&self.0.uploads, key, entry.into_blobs(), limits).await? else {
            return self.refuse(key, options.mode, Refusal::OverBudget).await;
        };
        let (key, mode) = (key.clone(), options.mode);
        engine.ask("put", |reply| Op::Put(Put { key, mode, created, blobs, reply })).await
    }

    /// What a refused put leaves: nothing under its key, unless it was a fill.
    async fn refuse(&self, key: &Key, mode: PutMode, reason: Refusal) -> Result<(PutOutcome, u64)> {
        if mode != PutMode::Fill {
            self.remove(key, "put").await?;
        }
        Ok((PutOutcome::refused(reason), 0))
    }
}
