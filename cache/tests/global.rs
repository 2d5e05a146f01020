//! The global cache. One test, since it is one to the process.
#![cfg(feature = "disk")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{future::poll_fn, path::Path, sync::Arc, task::Poll};

use cache::{Cache, Config, Digest, Error, ErrorKind, Limit, Result, TierConfig, global};

fn uninitialised<T>(used: Result<T>) {
    let error = used.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("not initialised: call cache::global::init"), "{error}");
}

fn config(dir: &Path) -> Config {
    let mut tier = TierConfig::new("disk");
    tier.path = Some(dir.to_owned());
    tier.max_size = Some(Limit::Max(1000));
    Config::new([tier])
}

async fn other_options(mut config: Config, change: fn(&mut Config), expected: &str) {
    change(&mut config);
    let error: Error = global::init(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    assert!(text.contains("the global cache was initialised with other options: "), "{text}");
    assert!(text.ends_with(expected), "{text}");
}

fn same(one: &Cache, other: &Cache) -> bool {
    Arc::ptr_eq(one.store(), other.store())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_global_cache_is_made_once_and_says_when_it_is_not() {
    // Before it is made.
    uninitialised(global::get());
    uninitialised(global::metrics());
    uninitialised(global::clear().await);

    // An attempt that fails makes none, and one that is dropped stops nobody.
    let error = global::init(&Config::default()).await.unwrap_err();
    assert!(error.to_string().contains("no tiers"), "{error}");
    uninitialised(global::get());
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let mut dropped = Box::pin(global::init(&config));
    poll_fn(|context| Poll::Ready(_ = dropped.as_mut().poll(context))).await;
    drop(dropped);

    // Several at a time make one.
    let init = || global::init(&config);
    let (one, two, three) = tokio::join!(init(), init(), init());
    let cache = global::get().unwrap();
    assert!([one, two, three].into_iter().all(|made| same(&made.unwrap(), &cache)));
    assert_eq!(cache.info().max_bytes, Some(1000));

    // The same options answer it, others do not.
    assert!(same(&global::init(&config).await.unwrap(), &cache));
    let other = |change: fn(&mut Config), expected| other_options(config.clone(), change, expected);
    other(
        |config| config.tiers[0].max_size = Some(Limit::Max(5)),
        "max_size of tier 1 was 1000, and is 5 now",
    )
    .await;
    other(
        |config| config.tiers[0].max_blob = Some(Limit::Unlimited),
        "max_blob of tier 1 was absent, and is unlimited now",
    )
    .await;
    other(|config| config.tiers[0].kind = "memory".into(), "kind of tier 1 was disk, and is memory now")
        .await;
    other(|config| config.tiers.clear(), "there was 1 tier, and are 0 now").await;
    assert!(same(&global::get().unwrap(), &cache));

    // Cleared, it is still there.
    let digest = Digest::of("k");
    cache.namespace("a").unwrap().put(digest, "v").await.unwrap();
    cache.put(digest, "v").await.unwrap();
    let report = global::clear().await.unwrap();
    assert_eq!((report.evicted_entries, report.failed_entries), (2, 0));
    assert_eq!(global::get().unwrap().get(digest).await.unwrap(), None);
    let metrics = global::metrics().unwrap();
    assert_eq!((metrics.puts, metrics.misses, metrics.removals), (2, 1, 2));
    assert_eq!(cache.usage().await.unwrap().entries, 0);
}
