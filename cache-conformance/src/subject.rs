//! The store under test, asked from all sides.
#![expect(clippy::expect_used, clippy::panic, reason = "a clause fails by panicking")]

use std::{
    ops::Deref,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cache_core::{
    BlobName, ErrorKind, GetOptions, Key, ListOptions, Namespace, PutMode, PutOptions, PutOutcome, Result,
    Store, Usage,
};
use futures::{FutureExt, TryStreamExt};

use crate::{
    Factory, Setup, run,
    sample::{self, Contents},
};

/// No sample is larger than this.
const CAP: u64 = 64 << 20;

#[derive(Clone, Debug)]
pub(crate) struct Subject(Arc<dyn Store>);

impl Deref for Subject {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Subject {
    pub(crate) fn of(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// A store without limits.
    pub(crate) async fn open(factory: &dyn Factory) -> Self {
        Self::open_with(factory, Setup::default()).await
    }

    pub(crate) async fn open_with(factory: &dyn Factory, setup: Setup) -> Self {
        match factory.open(&setup).await {
            Ok(store) => Self(store),
            Err(error) => panic!("the store does not open with {setup:?}: {error}"),
        }
    }

    /// A store with a budget. `None` if it declares that it cannot keep one: then it has refused the
    /// budget, or shows none and keeps everything.
    pub(crate) async fn open_bounded(factory: &dyn Factory, setup: Setup) -> Option<Self> {
        let store = match factory.open(&setup).await {
            Ok(store) => Self(store),
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::Unsupported | ErrorKind::Invalid),
                    "refusing a budget is {kind:?}"
                );
                let unlimited = Self::open(factory).await;
                assert!(!unlimited.info().powers.bounded, "a bounded store refuses {setup:?}: {error}");
                return None;
            }
        };
        let info = store.info();
        if info.powers.bounded {
            assert!(info.max_bytes >= setup.max_bytes, "{setup:?} is not in {info:?}");
            return Some(store);
        }
        assert_eq!(info.max_bytes, None, "an unbounded store shows a budget");
        for number in 0..64 {
            store.put_new(&sample::key(number), &sample::data(sample::bytes(number, 8 << 10))).await;
        }
        store.flush().await.expect("a flush");
        assert_eq!(store.usage_below(&Namespace::root()).await.entries, 64, "an unbounded store evicts");
        None
    }

    /// Writes in hand.
    pub(crate) async fn write(&self, key: &Key, blobs: &Contents, mode: PutMode) -> Result<PutOutcome> {
        self.put(key, sample::entry(blobs), PutOptions::mode(mode)).await
    }

    /// Writes in hand, and is stored.
    pub(crate) async fn put_as(&self, key: &Key, blobs: &Contents, options: PutOptions) {
        match self.put(key, sample::entry(blobs), options).await {
            Ok(outcome) => assert!(outcome.is_stored(), "put of {key} is not stored: {outcome:?}"),
            Err(error) => panic!("put of {key} fails: {error}"),
        }
    }

    /// Replaces, and is stored.
    pub(crate) async fn put_new(&self, key: &Key, blobs: &Contents) {
        self.put_as(key, blobs, PutOptions::default()).await;
    }

    /// Tries to write what cannot be: the kind of the error.
    pub(crate) async fn put_fails(&self, key: &Key, entry: cache_core::PutEntry, mode: PutMode) -> ErrorKind {
        match self.put(key, entry, PutOptions::mode(mode)).await {
            Ok(outcome) => panic!("put of {key} as {mode:?} should fail: {outcome:?}"),
            Err(error) => error.kind(),
        }
    }

    /// Reads one blob.
    pub(crate) async fn read(&self, key: &Key, blob: &str) -> Option<Bytes> {
        self.read_as(key, &sample::name(blob), GetOptions::default()).await
    }

    pub(crate) async fn read_as(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Option<Bytes> {
        let found = self.get(key, blob, options).await;
        let found = found.unwrap_or_else(|error| panic!("get of {key} fails: {error}"))?;
        let len = found.len();
        let bytes = found.collect(CAP).await.unwrap_or_else(|error| panic!("{key} breaks off: {error}"));
        assert_eq!(bytes.len() as u64, len, "a read of {key} has another length than it says");
        Some(bytes)
    }

    /// Reads all blobs of one version.
    pub(crate) async fn contents(&self, key: &Key) -> Option<Contents> {
        let found = self.get_entry(key, GetOptions::default()).await;
        let found = found.unwrap_or_else(|error| panic!("get_entry of {key} fails: {error}"))?;
        let mut contents = Contents::new();
        for (name, blob) in found.blobs {
            let bytes = blob.collect(CAP).await.unwrap_or_else(|error| panic!("{key} breaks off: {error}"));
            let before = contents.insert(name.as_str().to_owned(), bytes);
            assert!(before.is_none(), "get_entry of {key} has {name} twice");
        }
        assert!(!contents.is_empty(), "get_entry of {key} has no blobs");
        Some(contents)
    }

    /// Whether the entry is exactly these blobs, however it is asked for.
    pub(crate) async fn assert_holds(&self, key: &Key, blobs: &Contents) {
        assert!(self.contains(key).await.expect("an answer"), "contains denies {key}");
        assert!(self.contents(key).await.as_ref() == Some(blobs), "get_entry of {key} has other blobs");
        for (name, bytes) in blobs {
            assert!(self.read(key, name).await.as_ref() == Some(bytes), "get of {key} {name} differs");
            let inline = self.get_now(key.view(), &sample::name(name));
            assert!(inline.is_none_or(|inline| inline == bytes), "get_now of {key} {name} differs");
        }
        let meta = self.meta(key).await.expect("an answer");
        let meta = meta.unwrap_or_else(|| panic!("meta denies {key}"));
        let names: Vec<_> = meta.blobs.iter().map(|blob| blob.name.as_str().to_owned()).collect();
        assert_eq!(names, blobs.keys().cloned().collect::<Vec<_>>(), "meta of {key} has other blobs");
        assert_eq!(meta.bytes, Some(sample::size(blobs)), "meta of {key} has other bytes");
    }

    /// Whether the entry is absent, however it is asked for.
    pub(crate) async fn assert_absent(&self, key: &Key) {
        assert!(!self.contains(key).await.expect("an answer"), "contains claims {key}");
        assert!(self.contents(key).await.is_none(), "get_entry finds {key}");
        assert!(self.read(key, "data").await.is_none(), "get finds {key}");
        assert!(self.get_now(key.view(), &BlobName::DATA).is_none(), "get_now finds {key}");
        assert!(self.meta(key).await.expect("an answer").is_none(), "meta knows {key}");
        let listed = self.keys(ListOptions::of(&key.namespace)).await;
        assert!(!listed.contains(key), "list has {key}");
    }

    pub(crate) async fn keys(&self, options: ListOptions) -> Vec<Key> {
        let listed = self.list(options).map_ok(|entry| entry.key).try_collect().await;
        listed.unwrap_or_else(|error| panic!("list fails: {error}"))
    }

    pub(crate) async fn usage_below(&self, scope: &Namespace) -> Usage {
        self.usage(scope).await.unwrap_or_else(|error| panic!("usage of {scope} fails: {error}"))
    }

    /// Whether a scope holds so many entries with so many bytes of blobs.
    ///
    /// A store whose listings do not know the bytes of blobs counts stored ones instead.
    pub(crate) async fn assert_usage(&self, scope: &Namespace, entries: u64, bytes: u64) {
        let usage = self.usage_below(scope).await;
        assert_eq!(usage.entries, entries, "usage of {scope:?}");
        let expected = if self.counts_blobs(scope).await { bytes } else { usage.stored_bytes };
        assert_eq!(usage.bytes, expected, "usage of {scope:?}");
    }

    /// Whether listings know the bytes of blobs. Then budgets count these, else stored ones.
    pub(crate) async fn counts_blobs(&self, scope: &Namespace) -> bool {
        let first = self.list(ListOptions::below(scope).with_limit(1)).try_next().await;
        first.expect("a listing").is_none_or(|entry| entry.bytes.is_some())
    }

    /// How many bytes budgets may count for an entry with these names besides those of its blobs.
    pub(crate) async fn added_bytes(&self, names: &[&str]) -> u64 {
        let key = sample::key_in(&sample::namespace("added"), 1);
        let contents = names.iter().map(|name| ((*name).to_owned(), sample::bytes(1, 10_000)));
        self.put_new(&key, &contents.collect()).await;
        let mut added = 0;
        if !self.counts_blobs(&key.namespace).await {
            let meta = self.meta(&key).await.expect("an answer").expect("an entry");
            // Larger ones may take more.
            added = 2 * meta.stored_bytes.saturating_sub(meta.bytes.unwrap_or(0));
        }
        self.evict(&key).await.expect("an eviction");
        added
    }

    /// Whether the entry, alone in its namespace, is at all times in one of these states, and usage comes
    /// to agree: what goes on behind a dropped future may take its time. The state that is left.
    pub(crate) async fn settles(&self, key: &Key, states: &[Option<&Contents>]) -> Option<Contents> {
        let (mut agreed, mut last) = (0, None);
        let began = Instant::now();
        while began.elapsed() < run::options().limit / 10 {
            let found = self.contents(key).await;
            assert!(states.contains(&found.as_ref()), "a dropped future has left a part of {key}");
            let usage = self.usage_below(&key.namespace).await;
            let same = last.as_ref() == Some(&found) && usage.entries == u64::from(found.is_some());
            agreed = if same { agreed + 1 } else { 0 };
            last = Some(found.clone());
            // Several times in a row, which takes longer than what is under way.
            if agreed == 5 {
                let checked = AssertUnwindSafe(async {
                    let bytes = found.as_ref().map_or(0, sample::size);
                    self.assert_usage(&key.namespace, usage.entries, bytes).await;
                    match &found {
                        Some(found) => self.assert_holds(key, found).await,
                        None => self.assert_absent(key).await,
                    }
                });
                match checked.catch_unwind().await {
                    Ok(()) => return found,
                    // It has come to its end just now.
                    Err(_) if self.contents(key).await != found => agreed = 0,
                    Err(wrong) => resume_unwind(wrong),
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("usage does not agree with what a dropped future has left of {key}");
    }
}
