//! The traits, for a directory.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, FlushReport,
    GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutEntry, PutOptions,
    PutOutcome, Result, Store, StoreInfo, Usage,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream, stream::BoxStream};
use tokio::sync::oneshot;

use crate::{
    clean::clean,
    disk::{DiskStore, Inner},
    read,
    scan::{Scan, meta_of},
};

/// Entries fetched in one hop to a blocking thread while listing.
const PAGE: usize = 256;

#[async_trait]
impl KeyManagement for DiskStore {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let asked = key.clone();
        let answer = self.run("contains", move |inner| read::contains(inner, &asked)).await;
        self.0.counters.contains(&answer);
        answer
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.remove(key, "evict").await?;
        self.0.counters.removal();
        Ok(())
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let page = options.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let store = self.clone();
        stream::try_unfold(Some(Scan::new(options, "list")), move |scan| {
            let store = store.clone();
            async move {
                let Some(mut scan) = scan else { return Ok(None) };
                let fetch = move |inner: &Arc<Inner>| {
                    let mut found = Vec::new();
                    while found.len() < page {
                        match scan.next(&inner.root) {
                            Ok(Some(meta)) => found.push(Ok(inner.with_recency(meta))),
                            Ok(None) => return Ok((found, None)),
                            // What was found before is told before.
                            Err(error) => {
                                found.push(Err(error));
                                return Ok((found, None));
                            }
                        }
                    }
                    Ok((found, Some(scan)))
                };
                let (found, rest) = store.run("list", fetch).await?;
                Ok::<_, Error>(Some((stream::iter(found), rest)))
            }
        })
        .try_flatten()
        .fuse()
        .boxed()
    }
}

#[async_trait]
impl Store for DiskStore {
    fn info(&self) -> StoreInfo {
        let mut powers = Powers::default();
        (powers.durable, powers.shared, powers.bounded, powers.recency) = (true, true, true, true);
        (powers.dated, powers.cross_process_merge, powers.streaming) = (true, true, true);
        powers.durable = !self.0.options.temporary;
        if self.0.options.exclusive {
            (powers.shared, powers.cross_process_merge) = (false, false);
        }
        StoreInfo::new("disk", self.0.root.path.display().to_string(), powers)
            .with_max_bytes(self.0.options.max_bytes)
            .with_max_blob_bytes(self.0.options.max_blob_bytes)
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.counters.snapshot();
        metrics.resident_bytes = self.0.budget.known();
        metrics
    }

    /// Answers what the kernel has in memory, verified.
    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let bytes = self.get_inline(&key.to_key(), blob, &GetOptions::default())??.bytes;
        self.0.counters.hit(bytes.len() as u64);
        Some(bytes)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = match self.get_inline(key, blob, &options) {
            Some(found) => Ok(found.map(Blob::from)),
            None => {
                let (asked, name, how) = (key.clone(), blob.clone(), options.clone());
                self.run("get", move |inner| read::get(inner, &asked, &name, &how)).await
            }
        };
        self.0.counters.read_with(&options, &read, Blob::len);
        read
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let (asked, how) = (key.clone(), options.clone());
        let read = self.run("get_entry", move |inner| read::get_entry(inner, &asked, &how)).await;
        self.0.counters.read_with(&options, &read, |entry| entry.meta.counted_bytes());
        read
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let put = self.put_entry(key, entry, options).await;
        let bytes = put.as_ref().map_or(0, |(_, bytes)| *bytes);
        let outcome = put.map(|(outcome, _)| outcome).map_err(|error| error.at("disk", "put").with_key(key));
        self.0.counters.put(&outcome, bytes);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let asked = key.clone();
        let meta = self.run("meta", move |inner| meta_of(&inner.root, &asked, "meta")).await?;
        Ok(meta.map(|meta| self.0.with_recency(meta)))
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let scope = scope.clone();
        self.run("usage", move |inner| {
            let mut usage = Usage::default();
            let mut scan = Scan::new(ListOptions::below(&scope), "usage");
            while let Some(entry) = scan.next(&inner.root)? {
                usage.add(entry.counted_bytes(), entry.stored_bytes);
            }
            Ok(usage)
        })
        .await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let (scope, policy) = (scope.clone(), *policy);
        let evicting = self.evicting("clean").await?;
        self.run("clean", move |inner| {
            let _evicting = evicting;
            clean(inner, &scope, &policy)
        })
        .await
    }

    /// One `syncfs` of the file system that the directory lies on, then evictions that are due.
    async fn flush(&self) -> Result<FlushReport> {
        let synced = if self.0.options.temporary {
            self.is_open("flush").map(|()| FlushReport::volatile())
        } else {
            let sync = |inner: &Arc<Inner>| {
                inner.write_recency();
                inner.pending.flush(&inner.root)
            };
            self.run("flush", sync).await.map(FlushReport::durable)
        };
        let kept = self.enforce_for_flush().await;
        let flushed = synced.and_then(|report| kept.map(|()| report));
        self.0.counters.flush(flushed.is_ok());
        flushed
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.0.closed.store(true, Ordering::Release);
        let inner = Arc::clone(&self.0);
        self.0.tasks.spawn(move || inner.write_recency());
        let begun = Instant::now();
        let report = self.0.tasks.close(deadline).await;
        self.0.give_up_claim();
        let report = report?;
        // Work that is left keeps the store alive; what it keeps goes when that has ended.
        let Some(kept) = (if report.left == 0 { self.0.temporary.take() } else { None }) else {
            return Ok(report);
        };
        let (tell, told) = oneshot::channel();
        self.0.tasks.spawn(move || _ = tell.send(kept.remove()));
        let rest = deadline.map(|deadline| deadline.saturating_sub(begun.elapsed()));
        let report = self.0.tasks.close(rest).await?;
        told.now_or_never().and_then(Result::ok).unwrap_or(Ok(()))?;
        Ok(report)
    }
}
