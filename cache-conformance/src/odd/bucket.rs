//! A bucket of a server: listings know stored bytes only, which is what budgets count, and perhaps the second
//! of the last write; each call takes its time; merges read and write; streams end with their version.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, Clock, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, PutEntry, PutMode,
    PutOptions, PutOutcome, Result, Store, StoreInfo, SystemClock, Usage,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::*;
use crate::{
    ReferenceStore,
    mutant::twist::{Twist, twisted},
};

type Versions = Arc<Mutex<HashMap<Key, u64>>>;

#[derive(Debug)]
struct Bucket {
    counted: ReferenceStore,
    /// The same place with the budget: what refuses.
    refusing: ReferenceStore,
    /// The same place, where nobody counts.
    behind: ReferenceStore,
    max_bytes: Option<u64>,
    latency: Duration,
    versions: Versions,
    locks: Vec<tokio::sync::Mutex<()>>,
    evictions: AtomicU64,
    evicted_bytes: AtomicU64,
}

/// What the server stores besides the bytes of the blobs.
fn stored(meta: &EntryMeta) -> u64 {
    meta.bytes.unwrap_or(0) + 64 + 100 * meta.blobs.len() as u64
}

fn to_the_second(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn version(versions: &Versions, key: &Key) -> u64 {
    versions.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied().unwrap_or(0)
}

impl Bucket {
    async fn wait(&self) {
        // Between one and two of them.
        tokio::time::sleep(self.latency + self.latency.mul_f64(fastrand::f64())).await;
    }

    fn changed(&self, key: &Key) {
        *self.versions.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default() += 1;
    }

    async fn lock(&self, key: &Key) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        Some(self.locks.get(stripe(key, self.locks.len()))?.lock().await)
    }

    /// A stream that ends when its version is gone.
    fn of_this_version(&self, key: &Key, version_read: u64, blob: Blob) -> Blob {
        if blob.bytes().is_some() {
            return blob;
        }
        let (len, total) = (blob.len(), blob.total_len());
        let (versions, key) = (Arc::clone(&self.versions), key.clone());
        let pieces = blob.into_stream().and_then(move |piece| {
            let gone = version(&versions, &key) != version_read;
            let gone = gone.then(|| Error::new(ErrorKind::Unavailable, "bucket", "read").with_key(&key));
            async move { gone.map_or(Ok(piece), Err) }
        });
        let pieces = pieces.scan(false, |ended, piece| {
            let going = !std::mem::replace(ended, piece.is_err());
            futures::future::ready(going.then_some(piece))
        });
        Blob::from_stream(len, total, pieces.boxed())
    }

    /// Everything below: where it is dated, with what a `HEAD` of each tells.
    async fn all(&self, scope: &Namespace) -> Result<Vec<EntryMeta>> {
        let listed: Vec<_> = self.list(ListOptions::below(scope)).try_collect().await?;
        if !self.info().powers.dated {
            return Ok(listed);
        }
        let mut all = Vec::new();
        for mut entry in listed {
            if let Some(meta) = self.behind.meta(&entry.key).await? {
                entry.modified = meta.modified;
                all.push(entry);
            }
        }
        self.wait().await;
        Ok(all)
    }

    async fn evict_all(&self, victims: Vec<EntryMeta>) -> Result<()> {
        for victim in victims {
            let _lock = self.lock(&victim.key).await;
            self.changed(&victim.key);
            self.behind.evict(&victim.key).await?;
            self.changed(&victim.key);
            self.evictions.fetch_add(1, Ordering::Relaxed);
            self.evicted_bytes.fetch_add(victim.stored_bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[async_trait]
impl Twist for Bucket {
    fn inner(&self) -> &ReferenceStore {
        &self.counted
    }

    async fn contains(&self, key: &Key) -> Result<bool> {
        self.wait().await;
        self.counted.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let _lock = self.lock(key).await;
        self.wait().await;
        self.changed(key);
        let evicted = self.counted.evict(key).await;
        self.changed(key);
        evicted
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let (store, latency) = (self.counted.clone(), self.latency);
        let dated = self.info().powers.dated;
        stream::once(async move {
            tokio::time::sleep(latency).await;
            store.list(options)
        })
        .flatten()
        .map_ok(move |meta| {
            let mut listed = EntryMeta::new(meta.key.clone(), stored(&meta));
            listed.places = meta.places;
            listed.modified = meta.modified.map(to_the_second).filter(|_| !dated);
            listed
        })
        .boxed()
    }

    fn info(&self) -> StoreInfo {
        self.counted.info().with_max_bytes(self.max_bytes)
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.counted.metrics();
        metrics.refused_puts += self.refusing.metrics().refused_puts;
        metrics.put_errors += self.refusing.metrics().put_errors;
        metrics.evictions += self.evictions.load(Ordering::Relaxed);
        metrics.evicted_bytes += self.evicted_bytes.load(Ordering::Relaxed);
        metrics
    }

    fn get_now(&self, _key: KeyView<'_>, _blob: &BlobName) -> Option<Bytes> {
        None
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.wait().await;
        let version = version(&self.versions, key);
        let found = self.counted.get(key, blob, options).await?;
        Ok(found.map(|blob| self.of_this_version(key, version, blob)))
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.wait().await;
        let version = version(&self.versions, key);
        let Some(mut read) = self.counted.get_entry(key, options).await? else { return Ok(None) };
        read.meta.stored_bytes = stored(&read.meta);
        let blobs = read.blobs.into_iter();
        read.blobs = blobs.map(|(name, blob)| (name, self.of_this_version(key, version, blob))).collect();
        Ok(Some(read))
    }

    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        let entry = in_hand(entry, self.counted.info().max_blob_bytes).await;
        options.created = Some(to_the_second(options.created.unwrap_or_else(|| SystemClock.now())));
        let _lock = self.lock(key).await;
        self.wait().await;
        // What was there when the merge began to read.
        let mut held = None;
        if options.mode != PutMode::Replace {
            let read = self.behind.get_entry(key, GetOptions::default().with_stream_above(u64::MAX)).await;
            // Of what is damaged, nothing is kept.
            held = match read {
                Err(error) if error.kind() == ErrorKind::Corrupt => None,
                read => read?,
            };
            self.wait().await;
        }
        if let (Some(max), Some(_)) = (self.max_bytes, entry.known_bytes()) {
            let mut sizes: HashMap<BlobName, u64> = HashMap::new();
            let old = held.iter().flat_map(|held| &held.blobs).map(|(name, blob)| (name.clone(), blob.len()));
            let new = entry.blobs().iter();
            let new = new.map(|(name, blob)| (name.clone(), blob.known_len().unwrap_or(0)));
            if options.mode == PutMode::Fill {
                sizes.extend(new.chain(old));
            } else {
                sizes.extend(old.chain(new));
            }
            if sizes.values().sum::<u64>() + 64 + 100 * sizes.len() as u64 > max
                && entry.check(self.counted.info().max_blob_bytes).is_ok()
            {
                self.changed(key);
                // So large that it refuses whatever it is.
                let huge = PutEntry::default().with(
                    crate::sample::name("absent so far"),
                    Bytes::from(vec![0; usize::try_from(max).unwrap_or(0) + 1]),
                );
                return self.refusing.put(key, huge, options).await;
            }
        }
        self.changed(key);
        let now = match &held {
            Some(_) => self.behind.get_entry(key, GetOptions::default().with_stream_above(u64::MAX)).await?,
            None => None,
        };
        let same = |a: &EntryRead, b: &EntryRead| {
            let parts = |read: &EntryRead| {
                let blobs = read.blobs.iter();
                blobs.map(|(name, blob)| (name.clone(), blob.bytes().cloned())).collect::<Vec<_>>()
            };
            parts(a) == parts(b)
        };
        if let Some(held) = held
            && !now.as_ref().is_some_and(|now| same(&held, now))
        {
            // Another process has written meanwhile: that is lost.
            let old = held.blobs.into_iter().fold(PutEntry::default(), |entry, (name, blob)| {
                entry.with(name, blob.bytes().cloned().unwrap_or_default())
            });
            self.behind.put(key, old, PutOptions::default()).await?;
        }
        let outcome = self.counted.put(key, entry, options).await;
        self.changed(key);
        outcome
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.wait().await;
        let mut meta = self.counted.meta(key).await?;
        if let Some(meta) = &mut meta {
            meta.stored_bytes = stored(meta);
        }
        Ok(meta)
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut entries = self.list(ListOptions::below(scope));
        while let Some(entry) = entries.try_next().await? {
            usage.add(entry.counted_bytes(), entry.stored_bytes);
        }
        Ok(usage)
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let now = SystemClock.now();
        let all = self.all(scope).await?;
        let mut report = CleanReport::default();
        all.iter().for_each(|entry| report.keep(entry.stored_bytes));
        let victims = policy.victims(all, now);
        victims.iter().for_each(|victim| report.evict(victim.stored_bytes));
        self.evict_all(victims).await?;
        Ok(report)
    }

    async fn flush(&self) -> Result<FlushReport> {
        let report = self.counted.flush().await?;
        if let Some(max) = self.max_bytes {
            let all = self.all(&Namespace::root()).await?;
            if all.iter().map(|entry| entry.stored_bytes).sum::<u64>() > max {
                let low = CleanPolicy::default().with_max_bytes(max * 9 / 10);
                self.evict_all(low.victims(all, SystemClock.now())).await?;
            }
        }
        Ok(report)
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        self.refusing.close(None).await?;
        self.behind.close(None).await?;
        self.counted.close(deadline).await
    }
}

fn bucket(latency: Duration, dated: bool) -> Odd<(Duration, Versions)> {
    let mut powers = Powers::default();
    powers.dated = dated;
    (powers.durable, powers.shared, powers.bounded, powers.streaming) = (true, true, true, true);
    Odd {
        reference: Reference::with_powers(powers),
        given: (latency, Versions::default()),
        open: |reference, setup, (latency, versions)| {
            let mut unbounded = setup.clone();
            unbounded.max_bytes = None;
            twisted(Bucket {
                counted: reference.store(&unbounded)?,
                refusing: reference.store(setup)?,
                behind: reference.store(&unbounded)?,
                max_bytes: setup.max_bytes,
                latency: *latency,
                versions: Arc::clone(versions),
                locks: (0..64).map(|_| tokio::sync::Mutex::new(())).collect(),
                evictions: AtomicU64::new(0),
                evicted_bytes: AtomicU64::new(0),
            })
        },
    }
}

mod near {
    use super::*;

    crate::suite! { bucket(Duration::ZERO, true) }
}

/// It tells the second in which an entry was written, and of no time that a put was given.
mod undated {
    use super::*;

    crate::suite! { bucket(Duration::from_millis(2), false) }
}

#[test]
#[ignore = "takes two minutes, most of it asleep"]
fn a_bucket_far_away_keeps_all_clauses() {
    assert_keeps_all(|| bucket(Duration::from_millis(25), true));
    assert_keeps_all(|| bucket(Duration::from_millis(25), false));
}
