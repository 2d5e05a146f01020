//! Short digests, which every store understands by its listings.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cache_core::{Digest, DigestPrefix, ErrorKind, GetOptions, Key, KeyRef, Namespace, StoreExt};
use tokio::task::JoinSet;

use crate::{
    Factory,
    sample::{bytes, data, digest, digest_starting, key, key_in, namespace},
    subject::Subject,
};

fn short(digits: &str) -> KeyRef {
    digits.parse().expect("hex digits")
}

/// Entries of these digests in the root namespace.
async fn filled(factory: &dyn Factory, digests: &[Digest]) -> Subject {
    let store = Subject::open(factory).await;
    for digest in digests {
        store.put_new(&(*digest).into(), &data(digest.to_string())).await;
    }
    store
}

/// Two digests that share 63 digits, and a third one that shares 62 with them.
fn twins() -> [Digest; 3] {
    [0x10, 0x11, 0x20].map(|last| {
        let mut twin = *digest(7000).as_bytes();
        twin[31] = last;
        Digest::from_bytes(twin)
    })
}

fn kind<T: std::fmt::Debug>(answer: cache_core::Result<T>) -> ErrorKind {
    match answer {
        Ok(answer) => panic!("{answer:?} should be an error"),
        Err(error) => error.kind(),
    }
}

/// A prefix with any number of digits expands to its only match.
pub async fn expand_finds_the_only_match(factory: &dyn Factory) {
    let all = ["0123456789", "fedcba9876", "01ffffffff"].map(digest_starting);
    let store = filled(factory, &all).await;
    let root = Namespace::root();
    for (wanted, unique_from) in all.into_iter().zip([3, 1, 3]) {
        for digits in unique_from..=63 {
            let found = store.expand(&root, wanted.prefix(digits).into()).await;
            assert_eq!(found.expect("a match"), wanted, "{digits} digits");
        }
    }
    // Matches elsewhere are none here.
    store.put_new(&Key::new(namespace("a"), digest_starting("fedc0")), &data("elsewhere")).await;
    assert_eq!(store.expand(&root, short("fedc")).await.expect("a match"), all[1]);
    assert_eq!(store.expand(&namespace("a"), short("fe")).await.expect("a match"), digest_starting("fedc0"));
}

/// Expanding a prefix that nothing matches is `NotFound`.
pub async fn expand_without_match_is_not_found(factory: &dyn Factory) {
    let store = filled(factory, &["aaaa", "cccc"].map(digest_starting)).await;
    store.put_new(&Key::new(namespace("below"), digest_starting("bbbb")), &data("below")).await;
    for digits in ["0000", "aaab", "aaaaaaa1", "bbbb", "b", "cccd", "ffffff"] {
        let answer = store.expand(&Namespace::root(), short(digits)).await;
        assert_eq!(kind(answer), ErrorKind::NotFound, "{digits}");
    }
    store.evict(&digest_starting("aaaa").into()).await.expect("an eviction");
    assert_eq!(kind(store.expand(&Namespace::root(), short("aaaa")).await), ErrorKind::NotFound);
    assert_eq!(kind(store.expand(&namespace("never"), short("aaaa")).await), ErrorKind::NotFound);
}

/// It is `Ambiguous`, with the two smallest matches.
pub async fn expand_of_two_matches_is_ambiguous(factory: &dyn Factory) {
    let [first, second, third] = twins();
    // The smallest ones are neither written first nor last.
    let store = filled(factory, &[third, first, second, digest(1)]).await;
    for digits in [20, 61, 62] {
        let prefix = first.prefix(digits);
        let error = store.expand(&Namespace::root(), prefix.into()).await.expect_err("three matches");
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
        let found = error.ambiguity().expect("the matches");
        assert_eq!((found.prefix, found.first, found.second), (prefix, first, second));
    }
    let answer = store.expand(&Namespace::root(), first.prefix(63).into()).await;
    assert_eq!(kind(answer), ErrorKind::Ambiguous, "two matches");
    store.evict(&first.into()).await.expect("an eviction");
    let found = store.expand(&Namespace::root(), first.prefix(63).into()).await;
    assert_eq!(found.expect("one match is left"), second);
}

/// A full digest comes back as it is, present or not.
pub async fn expand_of_a_full_digest_asks_nobody(factory: &dyn Factory) {
    let store = filled(factory, &[digest(1)]).await;
    for number in [1, 2] {
        for full in [KeyRef::Digest(digest(number)), digest(number).prefix(64).into()] {
            assert_eq!(store.expand(&Namespace::root(), full).await.expect("itself"), digest(number));
            assert_eq!(store.expand(&namespace("never"), full).await.expect("itself"), digest(number));
        }
    }
    // It addresses its entry, and no other one, while that is there.
    for full in [KeyRef::Digest(digest(1)), digest(1).prefix(64).into()] {
        assert!(store.contains_short(&Namespace::root(), full).await.expect("an answer"));
        assert!(!store.contains_short(&namespace("never"), full).await.expect("an answer"));
        store.evict_short(&Namespace::root(), full).await.expect("an eviction");
        assert!(!store.contains_short(&Namespace::root(), full).await.expect("an answer"));
        assert_eq!(store.expand(&Namespace::root(), full).await.expect("itself"), digest(1));
        store.put_new(&key(1), &data("again")).await;
    }
    store.close(None).await.expect("a close");
    let answer = store.expand(&Namespace::root(), digest(1).into()).await;
    assert_eq!(answer.expect("not even a closed store is asked"), digest(1));
}

/// The digits that tell `digest` from all others, at least 4.
fn shortest(digest: Digest, all: &[Digest]) -> DigestPrefix {
    let others = all.iter().filter(|other| **other != digest);
    let shared = others.map(|other| digest.shared_digits(other)).max();
    digest.prefix(shared.map_or(0, |shared| shared + 1).max(DigestPrefix::DEFAULT_MIN_DIGITS))
}

/// It has at least 4 digits and expands to the same digest.
pub async fn shrink_gives_the_shortest_prefix(factory: &dyn Factory) {
    let near = ["abcd1", "abcd2", "abcd22222", "abcd222223", "abcde"].map(digest_starting);
    let all: Vec<_> = near.into_iter().chain((0..40).map(digest)).chain([twins()[0], twins()[2]]).collect();
    let store = filled(factory, &all).await;
    store.put_new(&key_in(&namespace("a"), 99), &data("elsewhere")).await;
    for digest in &all {
        let prefix = store.shrink(&(*digest).into()).await.expect("a prefix");
        assert_eq!(prefix, shortest(*digest, &all));
        let back = store.expand(&Namespace::root(), prefix.into()).await;
        assert_eq!(back.expect("a match"), *digest);
    }
    let elsewhere = store.shrink(&key_in(&namespace("a"), 99)).await;
    assert_eq!(elsewhere.expect("a prefix"), digest(99).prefix(4));
}

/// Shrinking a key that is not there is `NotFound`.
pub async fn shrink_of_an_absent_key_is_not_found(factory: &dyn Factory) {
    let near = ["abcd1", "abcd2", "abcd3"].map(digest_starting);
    let store = filled(factory, &near).await;
    // Without a neighbour, with one, and among several.
    for absent in [digest(1), digest_starting("abcd4"), digest_starting("abcd11"), digest_starting("abcd25")]
    {
        assert_eq!(kind(store.shrink(&absent.into()).await), ErrorKind::NotFound, "{absent}");
        let answer = store.shrink_all(&Namespace::root(), &[near[0], absent]).await;
        assert_eq!(kind(answer), ErrorKind::NotFound, "{absent} beside one that is there");
    }
    let elsewhere = Key::new(namespace("a"), near[0]);
    assert_eq!(kind(store.shrink(&elsewhere).await), ErrorKind::NotFound, "another namespace");
    let many: Vec<_> = near.into_iter().chain((0..40).map(digest)).collect();
    let answer = store.shrink_all(&Namespace::root(), &many).await;
    assert_eq!(kind(answer), ErrorKind::NotFound, "many absent ones");
}

/// Where two digests share 63 digits, shrinking is `Ambiguous`.
pub async fn shrink_of_twins_is_ambiguous(factory: &dyn Factory) {
    let [first, second, third] = twins();
    let store = filled(factory, &[first, second, third]).await;
    for twin in [first, second] {
        assert_eq!(kind(store.shrink(&twin.into()).await), ErrorKind::Ambiguous);
        let answer = store.shrink_all(&Namespace::root(), &[third, twin]).await;
        assert_eq!(kind(answer), ErrorKind::Ambiguous, "in a batch");
    }
    assert_eq!(store.shrink(&third.into()).await.expect("62 digits are shared"), third.prefix(63));
    let mut many: Vec<_> = (0..30).map(digest).collect();
    for digest in &many {
        store.put_new(&(*digest).into(), &data("one of many")).await;
    }
    many.push(first);
    let answer = store.shrink_all(&Namespace::root(), &many).await;
    assert_eq!(kind(answer), ErrorKind::Ambiguous, "in a large batch");
    store.evict(&first.into()).await.expect("an eviction");
    assert_eq!(store.shrink(&second.into()).await.expect("no twin any more"), second.prefix(63));
}

/// Shrinking no digests is `Invalid`.
pub async fn shrink_of_nothing_is_invalid(factory: &dyn Factory) {
    let store = filled(factory, &[]).await;
    assert_eq!(kind(store.shrink_all(&Namespace::root(), &[]).await), ErrorKind::Invalid);
    store.put_new(&key(1), &data("value")).await;
    assert_eq!(kind(store.shrink_all(&Namespace::root(), &[]).await), ErrorKind::Invalid);
    // One is enough, and two of the same are one.
    for digests in [vec![digest(1)], vec![digest(1); 2]] {
        let found = store.shrink_all(&Namespace::root(), &digests).await.expect("prefixes");
        assert_eq!(found, vec![digest(1).prefix(4); digests.len()]);
    }
}

/// There is one prefix for each digest, in the order given.
pub async fn shrink_all_keeps_the_order(factory: &dyn Factory) {
    let all: Vec<_> =
        ["abcd1", "abcd2", "abce"].map(digest_starting).into_iter().chain((0..60).map(digest)).collect();
    let store = filled(factory, &all).await;
    let reversed: Vec<_> = all.iter().rev().copied().collect();
    let repeated = vec![all[1], all[0], all[1], all[5], all[1]];
    // Few ones and many ones may be found in different ways.
    for asked in [&all[..1], &all[..5], &all, &reversed, &repeated] {
        let expected: Vec<_> = asked.iter().map(|digest| shortest(*digest, &all)).collect();
        let found = store.shrink_all(&Namespace::root(), asked).await;
        assert_eq!(found.expect("prefixes"), expected, "{} digests", asked.len());
    }
}

/// They address what they expand to, and are ambiguous alike.
pub async fn short_digests_read_and_evict(factory: &dyn Factory) {
    let [one, other, third] = ["abcd1", "abcd2", "eeee"].map(digest_starting);
    let store = filled(factory, &[one, other, third]).await;
    let (root, blob) = (Namespace::root(), cache_core::BlobName::DATA);
    store.put_new(&Key::new(namespace("a"), digest_starting("abcd11")), &data(bytes(1, 5))).await;
    for (wanted, digits) in [(one, "abcd1"), (other, "abcd2000"), (third, "e")] {
        let read = store.get_short(&root, short(digits), &blob, GetOptions::default()).await;
        let read = read.expect("an answer").expect("a hit").collect(100).await;
        assert_eq!(read.expect("the bytes"), wanted.to_string());
        assert!(store.contains_short(&root, short(digits)).await.expect("an answer"));
        let full = store.get_short(&root, wanted.into(), &blob, GetOptions::default()).await;
        assert!(full.expect("an answer").is_some(), "a full digest");
    }
    let many = short("abcd");
    let read = store.get_short(&root, many, &blob, GetOptions::default()).await;
    assert_eq!(kind(read), ErrorKind::Ambiguous, "a read");
    assert_eq!(kind(store.contains_short(&root, many).await), ErrorKind::Ambiguous, "a question");
    assert_eq!(kind(store.evict_short(&root, many).await), ErrorKind::Ambiguous, "an eviction");
    store.assert_holds(&one.into(), &data(one.to_string())).await;
    store.assert_holds(&other.into(), &data(other.to_string())).await;
    store.evict_short(&root, short("abcd1")).await.expect("an eviction");
    store.assert_absent(&one.into()).await;
    store.assert_holds(&other.into(), &data(other.to_string())).await;
    store.assert_holds(&Key::new(namespace("a"), digest_starting("abcd11")), &data(bytes(1, 5))).await;
    store.evict_short(&root, third.into()).await.expect("an eviction");
    store.assert_absent(&third.into()).await;
}

/// An entry that is put again and again meanwhile stays one candidate, and is always found.
pub async fn expand_survives_rewrites(factory: &dyn Factory) {
    let [one, other] = ["abcd1", "abce1"].map(digest_starting);
    let store = filled(factory, &[one, other]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..2_u64 {
        let (store, stop) = (store.clone(), stop.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                store.put_new(&one.into(), &data(bytes(task, 10))).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let (root, prefix) = (Namespace::root(), short("abcd"));
    for round in 0..100 {
        let found = store.expand(&root, prefix).await;
        assert_eq!(found.unwrap_or_else(|error| panic!("round {round}: {error}")), one);
        assert!(store.contains_short(&root, prefix).await.expect("an answer"), "round {round}");
        tokio::task::yield_now().await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(task) = tasks.join_next().await {
        task.expect("a writer");
    }
}

/// It is one for reads, existence and evictions.
pub async fn short_digest_without_match_is_a_miss(factory: &dyn Factory) {
    let only = digest_starting("abcd");
    let store = filled(factory, &[only]).await;
    let (root, never) = (Namespace::root(), namespace("never"));
    for (scope, digits) in [(&root, "abce"), (&root, "0"), (&root, "abcd00001"), (&never, "abcd")] {
        let digest = short(digits);
        let read = store.get_short(scope, digest, &cache_core::BlobName::DATA, GetOptions::default()).await;
        assert!(read.expect("an answer").is_none(), "{digits}");
        assert!(!store.contains_short(scope, digest).await.expect("an answer"), "{digits}");
        store.evict_short(scope, digest).await.unwrap_or_else(|error| panic!("{digits}: {error}"));
        assert_eq!(store.resolve(scope, digest).await.expect("an answer"), None, "{digits}");
    }
    store.assert_holds(&only.into(), &data(only.to_string())).await;
}
