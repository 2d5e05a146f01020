//! One operation after the other, each of which takes its time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, EntryMeta, EntryRead, FlushReport, GetOptions, Key,
    KeyManagement, KeyView, ListOptions, Namespace, PutEntry, PutOptions, PutOutcome, Result, Usage,
};
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::*;
use crate::{
    ReferenceStore,
    mutant::twist::{Twist, twist, twisted},
};

type Lock = (Arc<Mutex<()>>, Duration);

async fn turn((lock, pause): &Lock) -> OwnedMutexGuard<()> {
    let turn = Arc::clone(lock).lock_owned().await;
    match *pause {
        Duration::ZERO => tokio::task::yield_now().await,
        pause => tokio::time::sleep(pause).await,
    }
    turn
}

twist! { Serial(Lock) {
    async fn contains(&self, key: &Key) -> Result<bool> {
        let _turn = turn(&self.1).await;
        self.0.contains(key).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        let _turn = turn(&self.1).await;
        self.0.evict(key).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let (store, lock) = (self.0.clone(), self.1.clone());
        stream::once(async move {
            let _turn = turn(&lock).await;
            store.list(options)
        })
        .flatten()
        .boxed()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        let _turn = self.1.0.try_lock().ok()?;
        self.0.get_now(key, blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let _turn = turn(&self.1).await;
        self.0.get(key, blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let _turn = turn(&self.1).await;
        self.0.get_entry(key, options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let entry = in_hand(entry, self.0.info().max_blob_bytes).await;
        let _turn = turn(&self.1).await;
        self.0.put(key, entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        let _turn = turn(&self.1).await;
        self.0.meta(key).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let _turn = turn(&self.1).await;
        self.0.usage(scope).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let _turn = turn(&self.1).await;
        self.0.clean(scope, policy).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        let _turn = turn(&self.1).await;
        self.0.flush().await
    }
} }

fn serial(pause: Duration) -> Odd<Duration> {
    Odd {
        reference: Reference::volatile(),
        given: pause,
        open: |reference, setup, pause| twisted(Serial(reference.store(setup)?, (Arc::default(), *pause))),
    }
}

mod quick {
    use super::*;

    crate::suite! { serial(Duration::ZERO) }
}

#[test]
#[ignore = "takes a minute, most of it asleep"]
fn one_slow_operation_after_the_other_keeps_all_clauses() {
    assert_keeps_all(|| serial(Duration::from_millis(2)));
}
