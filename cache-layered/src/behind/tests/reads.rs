//! Reads go by what waits.

use cache_core::{
    ByteRange, Clock, DigestPrefix, GetOptions, KeyManagement, ListOptions, Namespace, PutEntry, PutOptions,
};
use futures::TryStreamExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_waits_is_read_as_if_it_were_there() {
    let (tier, store) = stuck();
    let log = BlobName::new("log").unwrap();
    let entry = PutEntry::data("0123456789").with(log.clone(), "a log");
    let outcome = store.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    assert_eq!(outcome.status, cache_core::PutStatus::Queued);
    assert_eq!(below(&tier, "a").await, None, "it waits");

    assert_eq!(get(&store, "a").await.unwrap(), "0123456789");
    assert!(store.contains(&key("a")).await.unwrap());
    assert!(store.get_bytes(&key("a"), &BlobName::new("none").unwrap()).await.unwrap().is_none());
    let range = GetOptions::default().with_range(ByteRange::new(2, Some(5)).unwrap());
    let part = store.get(&key("a"), &BlobName::DATA, range).await.unwrap().unwrap();
    assert_eq!((part.total_len(), part.bytes().unwrap().as_ref()), (10, b"234".as_slice()));
    let past = GetOptions::default().with_range(ByteRange::new(11, None).unwrap());
    assert_eq!(kind(store.get(&key("a"), &BlobName::DATA, past).await), ErrorKind::Invalid);
    let mut entry = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(entry.take(&log).unwrap().bytes().unwrap(), "a log");
    assert_eq!(store.meta(&key("a")).await.unwrap().unwrap().bytes, Some(15));
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().bytes, 15);
    assert_eq!(store.get_now(key("a").view(), &BlobName::DATA), None, "ask `get`");

    tier.arm(When::Never);
    store.flush().await.unwrap();
    assert_eq!(store.queued(), (0, 0));
    assert_eq!(store.get_now(key("a").view(), &BlobName::DATA).unwrap(), "0123456789");
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_as_old_before_as_after_it_is_written() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    let before = store.meta(&key("a")).await.unwrap().unwrap();
    // By the machine's clock, which is not paused.
    while SystemClock.now() <= before.created.unwrap() {
        tokio::task::yield_now().await;
    }
    tier.arm(When::Never);
    store.flush().await.unwrap();
    let after = store.meta(&key("a")).await.unwrap().unwrap();
    assert_eq!((before.created, before.modified), (after.created, after.modified));
}

/// Every listing before the queue is written is the one after it.
#[tokio::test(start_paused = true)]
async fn a_listing_is_that_of_the_tier_once_it_has_all() {
    let tier = tier();
    let store = behind(&tier);
    let place = |number: u32| {
        let namespace = Namespace::root();
        let namespace = if number.is_multiple_of(3) { namespace.child("below").unwrap() } else { namespace };
        Key::new(namespace, Digest::of(number.to_string()))
    };
    for number in 0..40 {
        store.put_bytes(&place(number), "old".into()).await.unwrap();
    }
    store.flush().await.unwrap();
    fail(&tier, ErrorKind::Unavailable);
    for number in 20..60 {
        let key = place(number);
        match number % 4 {
            0 => assert!(store.owe_evict(&key)),
            _ => _ = store.put_bytes(&key, "newer".into()).await.unwrap(),
        }
    }
    let mut asked = Vec::new();
    for base in [ListOptions::default(), ListOptions::default().recursive()] {
        for limit in [None, Some(0), Some(1), Some(2), Some(7), Some(100)] {
            let mut limited = base.clone();
            limited.limit = limit;
            asked.push(limited.clone());
            for number in [0, 20, 24, 59] {
                asked.push(limited.clone().with_start_after(place(number)));
                let digits: String = place(number).digest.to_string().chars().take(1).collect();
                asked.push(limited.clone().with_prefix(digits.parse::<DigestPrefix>().unwrap()));
            }
        }
    }
    let listings = async || {
        let mut listings = Vec::new();
        for options in &asked {
            let listed: Vec<_> = store.list(options.clone()).try_collect().await.unwrap();
            listings.push(listed.into_iter().map(|meta| (meta.key, meta.bytes)).collect::<Vec<_>>());
        }
        listings
    };
    let before = listings().await;
    assert!(store.queued().0 == 40 && before.iter().any(|listed| listed.len() > 40));
    tier.arm(When::Never);
    store.flush().await.unwrap();
    assert_eq!(store.queued().0, 0);
    assert!(before == listings().await, "a listing changes although nothing was put or evicted");
}

#[tokio::test(start_paused = true)]
async fn a_listing_misses_nothing_that_moves_to_the_tier_meanwhile() {
    let (tier, store) = stuck();
    let names: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    for name in &names {
        put(&store, name, "v").await.unwrap();
    }
    for moves_after in [0, 1, 17, 29] {
        let mut listing = store.list(ListOptions::default());
        let mut listed = Vec::new();
        for _ in 0..moves_after {
            listed.push(listing.try_next().await.unwrap().unwrap().key);
        }
        tier.arm(When::Never);
        store.flush().await.unwrap();
        while let Some(meta) = listing.try_next().await.unwrap() {
            listed.push(meta.key);
        }
        let mut expected: Vec<_> = names.iter().map(|name| key(name)).collect();
        expected.sort();
        assert_eq!(listed, expected, "after {moves_after}");
        fail(&tier, ErrorKind::Unavailable);
        for name in &names {
            put(&store, name, "v").await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_is_read_until_it_is_written() {
    let tier = tier();
    let (store, _) = behind_with(&tier, &options().with_write(WritePolicy::Through));
    for name in ["a", "b"] {
        let outcome = put(&store, name, "old").await.unwrap();
        assert_eq!(outcome.status, cache_core::PutStatus::Stored, "puts pass");
    }
    fail(&tier, ErrorKind::Unavailable);
    assert_eq!(kind(put(&store, "a", "new").await), ErrorKind::Unavailable);
    assert_eq!(get(&store, "a").await.unwrap(), "old", "a put that failed changed nothing");
    assert!(store.owe_put(&key("a"), vec![(BlobName::DATA, "new".into())], &PutOptions::default()));
    assert!(store.owe_evict(&key("b")));
    assert_eq!((get(&store, "a").await.unwrap(), get(&store, "b").await), ("new".into(), None));
    assert_eq!(below(&tier, "a").await.unwrap(), "old");
    tier.arm(When::Never);
    until(|| store.queued() == (0, 0)).await;
    assert_eq!((below(&tier, "a").await.unwrap(), below(&tier, "b").await), ("new".into(), None));
    // What the tier took since is newer than what it is owed.
    fail(&tier, ErrorKind::Unavailable);
    assert!(store.owe_evict(&key("a")));
    tier.arm(When::Never);
    put(&store, "a", "newest").await.unwrap();
    assert_eq!(get(&store, "a").await.unwrap(), "newest");
    until(|| store.queued() == (0, 0)).await;
    assert_eq!(below(&tier, "a").await.unwrap(), "newest");
}
