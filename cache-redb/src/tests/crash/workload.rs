//! What is asked of a store while its writes are recorded.

use cache_core::{
    BlobName, CleanPolicy, GetOptions, Key, KeyManagement, ListOptions, PutMode, PutOptions, Store,
};
use futures::{TryStreamExt, future::join_all};

use super::history::{History, State};
use crate::{
    RedbStore,
    memory_medium::MemoryMedium,
    tests::{Contents, bytes, entry, key, read},
};

/// A store in use, and what it was asked for.
pub(crate) struct Workload {
    store: RedbStore,
    medium: MemoryMedium,
    pub(crate) history: History,
    random: fastrand::Rng,
}

impl Workload {
    pub(crate) fn new(store: RedbStore, medium: MemoryMedium, history: History, seed: u64) -> Self {
        Self { store, medium, history, random: fastrand::Rng::with_seed(seed) }
    }

    /// An entry of one to three blobs, now and then with a large one.
    fn contents(&mut self, large: bool) -> Contents {
        let names = ["a", "data", "log"].map(|name| name.parse::<BlobName>().unwrap());
        let count = self.random.usize(1..=3);
        let mut contents: Contents = names
            .into_iter()
            .take(count)
            .map(|name| {
                let most = [100, 3_000, 20_000][self.random.usize(..3)];
                (name, bytes(self.random.u64(..), self.random.usize(1..most)))
            })
            .collect();
        if large {
            let len = self.random.usize(300_000..700_000);
            contents.insert("large".parse().unwrap(), bytes(self.random.u64(..), len));
        }
        contents
    }

    fn key(&mut self) -> Key {
        key(["", "a", "a/b"][self.random.usize(..3)], self.random.u64(..12))
    }

    /// One operation, or several at a time.
    pub(crate) async fn step(&mut self, large: bool) {
        let asked = self.medium.recorded();
        let key = self.key();
        match self.random.u8(..20) {
            // What a merge adds to may have been evicted.
            8..11 if self.history.evicts => self.read_some().await,
            0..8 => {
                let contents = self.contents(large && !self.history.evicts);
                self.history.changed(asked, vec![(key.clone(), Some(contents.clone()))]);
                self.put(&key, &contents, PutMode::Replace).await;
            }
            8..11 => {
                let new = self.contents(false);
                let mut merged = self.history.state().remove(&key).unwrap_or_default();
                merged.extend(new.clone());
                self.history.changed(asked, vec![(key.clone(), Some(merged))]);
                self.put(&key, &new, PutMode::Merge).await;
            }
            11..13 => {
                self.history.changed(asked, vec![(key.clone(), None)]);
                self.store.evict(&key).await.unwrap();
            }
            13..15 => self.put_several(asked).await,
            15 => self.clean(asked).await,
            16..18 => self.read_some().await,
            _ => self.flush().await,
        }
    }

    async fn put(&self, key: &Key, contents: &Contents, mode: PutMode) {
        let outcome = self.store.put(key, entry(contents), PutOptions::mode(mode)).await.unwrap();
        assert!(outcome.is_stored(), "{outcome:?}");
    }

    async fn put_several(&mut self, asked: usize) {
        let several: State = (0..6).map(|_| (self.key(), self.contents(false))).collect();
        let changes = several.iter().map(|(key, contents)| (key.clone(), Some(contents.clone())));
        self.history.changed(asked, changes.collect());
        join_all(several.iter().map(|(key, contents)| self.put(key, contents, PutMode::Replace))).await;
    }

    async fn clean(&mut self, asked: usize) {
        let scope = "a/b".parse().unwrap();
        let gone = self.history.state().into_keys().filter(|key| key.namespace == scope);
        let gone = gone.map(|key| (key, None)).collect();
        self.history.changed(asked, gone);
        self.store.clean(&scope, &CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    }

    /// What is read is written down with one of the next commits.
    async fn read_some(&mut self) {
        for _ in 0..8 {
            let key = self.key();
            self.store.get(&key, &BlobName::DATA, GetOptions::default()).await.unwrap();
        }
    }

    pub(crate) async fn flush(&mut self) {
        let asked = self.medium.recorded();
        self.store.flush().await.unwrap();
        let returned = self.medium.recorded();
        let held = held(&self.store).await.unwrap();
        if self.history.evicts {
            self.history.flushed_as(asked, returned, &held);
        } else {
            assert!(held == self.history.state(), "the store does not hold what was put");
            self.history.flushed(asked, returned);
        }
    }
}

/// All that a store holds, as far as it can be read.
pub(crate) async fn held(store: &RedbStore) -> Result<State, String> {
    let listed: Vec<_> = store
        .list(ListOptions::default().recursive())
        .try_collect()
        .await
        .map_err(|error| error.to_line())?;
    let mut state = State::new();
    for meta in listed {
        match read(store, &meta.key).await {
            Ok(Some(contents)) => {
                let told: Vec<_> = meta.blobs.iter().map(|blob| (blob.name.clone(), blob.bytes)).collect();
                let there: Vec<_> =
                    contents.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect();
                if told != there {
                    return Err(format!("{} is listed as {told:?}, and is {there:?}", meta.key));
                }
                state.insert(meta.key, contents);
            }
            Ok(None) => return Err(format!("{} is listed and not there", meta.key)),
            Err(error) => return Err(format!("{} cannot be read: {}", meta.key, error.to_line())),
        }
    }
    Ok(state)
}
