//! Stores that break one rule each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Factory, Setup};
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, Digest, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, ListOptions, Metrics, Namespace, PutEntry, PutMode,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage,
};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::toy::{Fresh, Toy};

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    AnswersMissesWithErrors,
    ClaimsDurability,
    ClaimsSharedBytes,
    CleansByAgeOnly,
    CleansTheParent,
    ContainsAfterEvict,
    ContainsIsARead,
    CountsGetTwice,
    CreatesNow,
    EvictsHalf,
    EvictsOtherNamespaces,
    FillOverwrites,
    FoldsCase,
    ForgetsOnReplace,
    ForgetsReads,
    GetNowIsStale,
    IgnoresBudget,
    IgnoresTheLimit,
    KeepsWhatABrokenStreamGave,
    ListsDescending,
    ListsTwice,
    LosesConcurrentMerges,
    OffByOneBlobLimit,
    PrefixesInPairs,
    PublishesBlobByBlob,
    RangesAreUnclamped,
    RefusalKeepsTheOld,
    ReplaceMerges,
    ServesAfterClose,
    StartsAtTheKey,
    StoresTheUnknown,
    UsageForgetsBelow,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Toy,
    info: StoreInfo,
    fault: Fault,
    /// Evicted keys, or what `get_now` has answered first.
    seen: Mutex<HashMap<(Key, BlobName), Bytes>>,
}

/// Opens stores with a fault.
#[derive(Debug)]
pub(crate) struct Broken(pub Fault, pub Fresh);

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self(fault, Fresh::default())
    }
}

#[async_trait]
impl Factory for Broken {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let mut inner = setup.clone();
        match self.0 {
            Fault::IgnoresBudget => inner.max_bytes = None,
            Fault::OffByOneBlobLimit => inner.max_blob_bytes = setup.max_blob_bytes.map(|max| max - 1),
            _ => {}
        }
        let mut powers = self.1.powers;
        powers.recency &= self.0 != Fault::ForgetsReads;
        let inner = Toy::on(&Fresh { powers, shelf: self.1.shelf.clone() }, &inner);
        let info = StoreInfo::new("toy", "", self.1.powers)
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(Faulty { inner, info, fault: self.0, seen: Mutex::default() }))
    }
}

impl Faulty {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn address(&self, key: &Key) -> Key {
        let fold = self.is(Fault::FoldsCase);
        if fold { Key::new(folded(&key.namespace), key.digest) } else { key.clone() }
    }
}

impl Faulty {
    /// One blob after the other, with time for others between them.
    async fn put_blob_by_blob(
        &self,
        key: &Key,
        entry: PutEntry,
        mut options: PutOptions,
    ) -> Result<PutOutcome> {
        entry.check(self.info.max_blob_bytes)?;
        let mut outcome = PutOutcome::stored();
        for (name, blob) in entry.into_blobs() {
            let entry = PutEntry::default().with_blob(name, blob);
            outcome = self.inner.put(key, entry, options.clone()).await?;
            tokio::task::yield_now().await;
            if options.mode == PutMode::Replace {
                options.mode = PutMode::Merge;
            }
        }
        Ok(outcome)
    }
}

fn folded(namespace: &Namespace) -> Namespace {
    namespace.to_string().to_lowercase().parse().unwrap_or_default()
}

#[async_trait]
impl KeyManagement for Faulty {
    async fn contains(&self, key: &Key) -> Result<bool> {
        if self.is(Fault::ContainsIsARead) {
            return Ok(self.inner.get_entry(key, GetOptions::default()).await?.is_some());
        }
        let evicted = || self.seen.lock().is_ok_and(|seen| seen.contains_key(&(key.clone(), BlobName::DATA)));
        let found = self.inner.contains(&self.address(key)).await?;
        Ok(found || self.is(Fault::ContainsAfterEvict) && evicted())
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        match self.fault {
            Fault::EvictsHalf => {
                let read = self.inner.get_entry(key, GetOptions::default()).await?;
                self.inner.evict(key).await?;
                let Some(mut read) = read.filter(|read| read.blobs.len() > 1) else { return Ok(()) };
                let (name, blob) = read.blobs.swap_remove(0);
                let entry = PutEntry::default().with(name, blob.collect(u64::MAX).await?);
                return self.inner.put(key, entry, PutOptions::default()).await.map(drop);
            }
            Fault::EvictsOtherNamespaces => self.inner.evict(&key.digest.into()).await?,
            Fault::ContainsAfterEvict => {
                if let Ok(mut seen) = self.seen.lock() {
                    seen.insert((key.clone(), BlobName::DATA), Bytes::new());
                }
            }
            _ => {}
        }
        self.inner.evict(&self.address(key)).await
    }

    fn list(&self, mut options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        match self.fault {
            Fault::IgnoresTheLimit => options.limit = None,
            Fault::PrefixesInPairs => {
                let pairs = options.prefix.map(|prefix| (prefix.first(), prefix.len().next_multiple_of(2)));
                options.prefix = pairs.map(|(first, len)| first.prefix(len));
            }
            Fault::StartsAtTheKey => {
                if let Some(after) = &mut options.start_after {
                    let mut digest = *after.digest.as_bytes();
                    if let Some(last) = digest.iter_mut().rfind(|byte| **byte > 0) {
                        *last -= 1;
                    }
                    after.digest = Digest::from_bytes(digest);
                }
            }
            // As a walk that meets an entry again after it was put again.
            Fault::ListsTwice => {
                let limit = options.limit.unwrap_or(usize::MAX);
                let twice = self.inner.list(options).flat_map(|entry| stream::iter([entry.clone(), entry]));
                return twice.take(limit).boxed();
            }
            Fault::ListsDescending => {
                let inner = self.inner.list(options);
                let all = async move { stream::iter(inner.collect::<Vec<_>>().await.into_iter().rev()) };
                return stream::once(all).flatten().boxed();
            }
            _ => {}
        }
        self.inner.list(options)
    }
}

#[async_trait]
impl Store for Faulty {
    fn info(&self) -> StoreInfo {
        let mut info = self.info.clone();
        info.powers.durable |= self.is(Fault::ClaimsDurability);
        info.powers.shared_bytes |= self.is(Fault::ClaimsSharedBytes);
        info
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, key: &Key, blob: &BlobName) -> Option<Bytes> {
        let found = self.inner.get_now(&self.address(key), blob)?;
        if !self.is(Fault::GetNowIsStale) {
            return Some(found);
        }
        let mut seen = self.seen.lock().ok()?;
        Some(seen.entry((key.clone(), blob.clone())).or_insert(found).clone())
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        if self.is(Fault::CountsGetTwice) {
            self.inner.get(key, blob, options.clone()).await?;
        }
        let found = match self.inner.get(&self.address(key), blob, options).await {
            Err(error) if error.kind() == ErrorKind::Invalid && self.is(Fault::RangesAreUnclamped) => None,
            Err(error) if error.kind() == ErrorKind::Closed && self.is(Fault::ServesAfterClose) => None,
            found => found?,
        };
        if found.is_none() && self.is(Fault::AnswersMissesWithErrors) {
            return Err(Error::new(ErrorKind::NotFound, "toy", "get"));
        }
        let Some(found) = found else { return Ok(None) };
        if !self.is(Fault::ClaimsSharedBytes) {
            return Ok(Some(found));
        }
        let total = found.total_len();
        Ok(Some(Blob::part(total, Bytes::copy_from_slice(&found.collect(u64::MAX).await?))))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.inner.get_entry(&self.address(key), options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        let before = self.inner.meta(key).await?;
        match (self.fault, options.mode) {
            (Fault::StoresTheUnknown, _) if entry.blobs().is_empty() => return Ok(PutOutcome::stored()),
            (Fault::KeepsWhatABrokenStreamGave, _) => {
                let mut kept = PutEntry::default();
                for (name, blob) in entry.into_blobs() {
                    let pieces = blob.into_checked_stream(&name, None);
                    let whole = pieces.take_while(|piece| std::future::ready(piece.is_ok()));
                    kept = kept.with_stream(name, None, whole.boxed());
                }
                return self.inner.put(key, kept, options).await;
            }
            (Fault::CreatesNow, _) => options.created = None,
            (Fault::ReplaceMerges, PutMode::Replace) | (Fault::FillOverwrites, PutMode::Fill) => {
                options.mode = PutMode::Merge;
            }
            (Fault::ForgetsOnReplace, PutMode::Replace) if before.is_some() && entry.blobs().len() > 1 => {
                let kept = entry.into_blobs().into_iter().skip(1);
                let kept = kept.fold(PutEntry::default(), |entry, (name, blob)| entry.with_blob(name, blob));
                return self.inner.put(key, kept, options).await;
            }
            (Fault::LosesConcurrentMerges, PutMode::Merge) => {
                let read = self.inner.get_entry(key, GetOptions::default()).await?;
                tokio::task::yield_now().await;
                let mut merged = entry;
                for (name, blob) in read.into_iter().flat_map(|read| read.blobs) {
                    if merged.blobs().iter().all(|(new, _)| *new != name) {
                        merged = merged.with(name, blob.collect(u64::MAX).await?);
                    }
                }
                return self.inner.put(key, merged, PutOptions::default()).await;
            }
            (Fault::PublishesBlobByBlob, _) => {
                return self.put_blob_by_blob(key, entry, options).await;
            }
            _ => {}
        }
        let old = match self.fault {
            Fault::RefusalKeepsTheOld => self.inner.get_entry(key, GetOptions::default()).await?,
            _ => None,
        };
        let outcome = self.inner.put(&self.address(key), entry, options).await?;
        if let (Some(old), false) = (old, outcome.is_stored()) {
            let mut entry = PutEntry::default();
            for (name, blob) in old.blobs {
                entry = entry.with(name, blob.collect(u64::MAX).await?);
            }
            self.inner.put(key, entry, PutOptions::default()).await?;
        }
        Ok(outcome)
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.inner.meta(&self.address(key)).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        if !self.is(Fault::UsageForgetsBelow) {
            return self.inner.usage(scope).await;
        }
        let mut usage = Usage::default();
        let mut listing = self.inner.list(ListOptions::of(scope));
        while let Some(entry) = listing.next().await {
            let entry = entry?;
            usage.add(entry.counted_bytes(), entry.stored_bytes);
        }
        Ok(usage)
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        match self.fault {
            Fault::CleansTheParent => self.inner.clean(&Namespace::root(), policy).await,
            Fault::CleansByAgeOnly => {
                let mut policy = *policy;
                policy.max_bytes = None;
                self.inner.clean(scope, &policy).await
            }
            _ => self.inner.clean(scope, policy).await,
        }
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.inner.flush().await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.inner.close(deadline).await
    }
}
