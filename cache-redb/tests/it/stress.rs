//! Everything at the same time, on several threads, with futures that are dropped.

use std::{sync::Arc, time::Duration};

use cache_core::{
    BlobName, CleanPolicy, ErrorKind, GetOptions, KeyManagement, ListOptions, Namespace, PutEntry,
    PutOptions, Store, StoreExt,
};
use cache_redb::{RedbOptions, RedbStore};
use futures::{StreamExt, TryStreamExt};
use tokio::{task::JoinSet, time::timeout};

use crate::key;

/// Any operation, some of them given up after a moment.
async fn work(store: RedbStore, seed: u64, steps: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..steps {
        let number = random.u64(0..60);
        let key = key(&number.to_string());
        let len = random.choice([10, 1_000, 20_000, 300_000]).unwrap();
        let kind = random.u32(0..100);
        let step = async {
            match kind {
                0..30 => {
                    let mut bytes = vec![7; len];
                    bytes.extend(number.to_le_bytes());
                    let put = store.put(&key, PutEntry::data(bytes), PutOptions::default()).await?;
                    assert!(put.is_stored());
                }
                30..75 => {
                    let options = GetOptions::default().with_stream_above(100_000);
                    if let Some(blob) = store.get(&key, &BlobName::DATA, options).await? {
                        let bytes = blob.collect(u64::MAX).await?;
                        assert!(bytes.ends_with(&number.to_le_bytes()), "of another entry");
                    }
                }
                75..80 => store.evict(&key).await?,
                80..85 => drop(store.get_entry(&key, GetOptions::default()).await?),
                85..90 => drop(store.list(ListOptions::default()).take(10).try_collect::<Vec<_>>().await?),
                90..94 => drop(store.flush().await?),
                94..95 => {
                    let policy = CleanPolicy::default().with_max_bytes(1_000_000);
                    store.clean(&Namespace::root(), &policy).await?;
                }
                _ => drop(store.meta(&key).await?),
            }
            Ok::<(), cache_core::Error>(())
        };
        let done = match random.u32(0..4) {
            0 => timeout(Duration::from_micros(random.u64(0..2_000)), step).await.unwrap_or(Ok(())),
            _ => timeout(Duration::from_secs(60), step).await.unwrap(),
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Closed => return,
            done => done.unwrap(),
        }
    }
}

#[test]
fn whatever_happens_at_a_time_nothing_hangs_and_all_adds_up() {
    let dir = tempfile::tempdir().unwrap();
    let options = RedbOptions::new(dir.path().join("it.redb")).with_max_bytes(3_000_000).with_max_entries(40);
    for round in 0..3 {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        runtime.block_on(async {
            let store = RedbStore::open(options.clone()).await.unwrap();
            let mut tasks = JoinSet::new();
            for task in 0..16 {
                tasks.spawn(work(store.clone(), round * 100 + task, 60));
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            let flushed = timeout(Duration::from_secs(60), store.flush()).await.unwrap();
            flushed.unwrap();
            let usage = store.usage(&Namespace::root()).await.unwrap();
            let listed: Vec<_> = store.list(ListOptions::default().recursive()).try_collect().await.unwrap();
            assert_eq!(usage.entries, listed.len() as u64);
            assert_eq!(usage.bytes, listed.iter().map(|meta| meta.bytes.unwrap_or(0)).sum::<u64>());
            let metrics = store.metrics();
            assert_eq!((metrics.entries, metrics.resident_bytes), (Some(usage.entries), Some(usage.bytes)));
            assert!(usage.bytes <= 3_000_000 && usage.entries <= 40);
            // The last handle goes with tasks that are under way, and with the runtime.
            for task in 0..8 {
                let store = store.clone();
                tasks.spawn(work(store, round * 100 + 50 + task, 1_000));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            tasks.detach_all();
            if round == 1 {
                let closed = timeout(Duration::from_secs(60), store.close(None)).await.unwrap();
                closed.unwrap();
            }
        });
        drop(runtime);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(RedbStore::open(options).await.unwrap());
        store.put_bytes(&key("last"), "x".into()).await.unwrap();
        store.flush().await.unwrap();
        store.close(None).await.unwrap();
    });
}
