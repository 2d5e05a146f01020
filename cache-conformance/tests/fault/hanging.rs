use std::time::Duration;

use cache_conformance::fault::{Call, Hanging};
use cache_core::{BlobName, GetOptions, KeyManagement, Store, StoreExt};
use futures::{StreamExt, TryStreamExt};
use tokio::{join, time::timeout};

use crate::sample::{each_call, key, large, put_stream, read, store};

const HOUR: Duration = Duration::from_secs(3600);

/// Whether it hangs: for an hour of the paused clock.
async fn hangs(work: impl Future) -> bool {
    timeout(HOUR, work).await.is_err()
}

/// Does both at once.
async fn both<T>(work: impl Future<Output = T>, beside: impl Future<Output = ()>) -> T {
    timeout(HOUR, async { join!(work, beside).0 }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_call_hangs_until_released() {
    let calls = [
        Call::Contains,
        Call::Evict,
        Call::List,
        Call::Get,
        Call::GetEntry,
        Call::Put,
        Call::PutStream,
        Call::Meta,
        Call::Usage,
        Call::Clean,
        Call::Flush,
        Call::Close,
    ];
    for call in calls {
        let store = Hanging::new(store().await).with_only(&[call]);
        store.hang();
        assert!(hangs(each_call(&store)).await, "{call:?}");
        assert_eq!(store.waiting(), 0, "what was dropped does not hang");
        let failed = both(each_call(&store), async {
            store.until_waiting(1).await;
            store.release();
        })
        .await;
        assert!(failed.is_empty(), "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn released_call_is_carried_out_then() {
    let inner = store().await;
    let store = Hanging::new(inner.clone());
    let control = store.clone();
    control.hang();
    let a = key("a");
    let put = both(store.put_bytes(&a, "v".into()), async {
        control.until_waiting(1).await;
        assert!(!inner.contains(&a).await.unwrap());
        control.release();
    })
    .await;
    assert!(put.unwrap().is_stored());
    assert_eq!(read(&inner, &a).await.unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn released_call_goes_on_although_others_hang_at_once() {
    let store = Hanging::new(store().await);
    store.hang();
    both(store.put_bytes(&key("a"), "v".into()), async {
        store.until_waiting(1).await;
        store.release();
        store.hang();
    })
    .await
    .unwrap();
    assert!(hangs(read(&store, &key("a"))).await);
}

#[tokio::test(start_paused = true)]
async fn dropped_call_never_reaches_the_store() {
    let store = Hanging::new(store().await);
    store.hang();
    assert!(hangs(store.put_bytes(&key("a"), "v".into())).await);
    store.release();
    tokio::time::sleep(HOUR).await;
    assert!(!store.contains(&key("a")).await.unwrap());
    assert_eq!(store.metrics().puts, 0);
}

#[tokio::test(start_paused = true)]
async fn held_reply_is_that_of_a_call_which_was_carried_out() {
    let inner = store().await;
    let store = Hanging::new(inner.clone()).with_held_replies();
    store.hang();
    assert!(hangs(store.put_bytes(&key("a"), "old".into())).await);
    assert_eq!(read(&inner, &key("a")).await.unwrap(), "old");
    let a = key("a");
    let read = both(read(&store, &a), async {
        store.until_waiting(1).await;
        inner.evict(&a).await.unwrap();
        store.release();
    })
    .await;
    assert_eq!(read.unwrap(), "old", "the read came before the eviction");
}

#[tokio::test(start_paused = true)]
async fn stream_hangs_midway() {
    let store = Hanging::new(store().await);
    let bytes = large();
    put_stream(&store, &key("a"), &bytes).await.unwrap();
    let options = GetOptions::default().with_stream_above(0);
    let blob = store.get(&key("a"), &BlobName::DATA, options).await.unwrap().unwrap();
    let mut stream = blob.into_stream();
    let first = stream.next().await.unwrap().unwrap();
    store.hang();
    assert!(hangs(stream.next()).await);
    store.release();
    let rest: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!([first, rest.concat().into()].concat(), bytes);
}

#[tokio::test(start_paused = true)]
async fn only_named_calls_hang() {
    let store = Hanging::new(store().await).with_only(&[Call::GetEntry]);
    store.hang();
    assert!(!hangs(store.put_bytes(&key("a"), "v".into())).await);
    assert!(store.get_now(key("a").view(), &BlobName::DATA).is_some());
    assert!(!hangs(read(&store, &key("a"))).await);
    assert!(hangs(store.get_entry(&key("a"), GetOptions::default())).await);
}

#[tokio::test(start_paused = true)]
async fn get_now_answers_nothing_meanwhile() {
    let store = Hanging::new(store().await);
    store.put_bytes(&key("a"), "v".into()).await.unwrap();
    store.hang();
    assert_eq!(store.get_now(key("a").view(), &BlobName::DATA), None);
    store.release();
    assert!(store.get_now(key("a").view(), &BlobName::DATA).is_some());
}
