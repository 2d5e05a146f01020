//! Writing entries in one piece.

use cache_core::{Namespace, PutEntry, PutMode, PutOptions, PutStatus};

use crate::{
    Factory,
    sample::{blobs, data, hours_ago, key, name, size},
    subject::Subject,
};

const MODES: [PutMode; 3] = [PutMode::Replace, PutMode::Merge, PutMode::Fill];

/// The outcome of a put tells that the entry is visible.
pub async fn put_says_stored(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let tiers: Vec<_> = store.info().tiers.into_iter().map(|(name, _)| name).collect();
    for (number, mode) in (1..).zip(MODES) {
        for _ in 0..2 {
            let outcome = store.write(&key(number), &data("value"), mode).await.expect("a put");
            assert!(outcome.is_stored(), "{mode:?}: {outcome:?}");
            assert!(outcome.tiers.iter().all(|(name, _)| tiers.contains(name)), "{outcome:?}");
            let by_a_tier = outcome.tiers.iter().any(|(_, status)| *status == PutStatus::Stored);
            assert_eq!(by_a_tier, !tiers.is_empty(), "stored by no tier: {outcome:?}");
            store.assert_holds(&key(number), &data("value")).await;
        }
    }
}

/// After `Replace`, other names are gone.
pub async fn replace_leaves_exactly_the_new_blobs(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &blobs([("a", "old a"), ("b", "old b"), ("c", "old c")])).await;
    store.put_new(&key(1), &blobs([("b", "new b"), ("d", "new d")])).await;
    store.assert_holds(&key(1), &blobs([("b", "new b"), ("d", "new d")])).await;
    for gone in ["a", "c"] {
        assert_eq!(store.read(&key(1), gone).await, None, "{gone} was replaced");
        assert_eq!(store.get_now(&key(1), &name(gone)), None, "{gone} was replaced");
    }
    store.assert_usage(&Namespace::root(), 1, 10).await;
}

/// `Merge` keeps other names and overwrites those with the same name.
pub async fn merge_keeps_other_blobs(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_new(&key(1), &blobs([("a", "old a"), ("b", "old b")])).await;
    // Hits may bring the entry into a faster tier, which must not answer for the merged one.
    store.assert_holds(&key(1), &blobs([("a", "old a"), ("b", "old b")])).await;
    store.put_as(&key(1), &blobs([("b", "newer b"), ("c", "new c")]), PutOptions::mode(PutMode::Merge)).await;
    let merged = blobs([("a", "old a"), ("b", "newer b"), ("c", "new c")]);
    store.assert_holds(&key(1), &merged).await;
    store.assert_usage(&Namespace::root(), 1, size(&merged)).await;
}

/// To `Merge`, an entry that is not there is like one without blobs.
pub async fn merge_creates_an_absent_entry(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    store.put_as(&key(1), &blobs([("a", "A")]), PutOptions::mode(PutMode::Merge)).await;
    store.assert_holds(&key(1), &blobs([("a", "A")])).await;
    store.put_new(&key(2), &blobs([("gone", "G")])).await;
    store.evict(&key(2)).await.expect("an eviction");
    store.put_as(&key(2), &blobs([("b", "B")]), PutOptions::mode(PutMode::Merge)).await;
    store.assert_holds(&key(2), &blobs([("b", "B")])).await;
}

/// `Fill` leaves the bytes of names that are present.
pub async fn fill_writes_only_absent_names(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let fill = || PutOptions::mode(PutMode::Fill);
    store.put_as(&key(1), &blobs([("a", "first")]), fill()).await;
    store.put_as(&key(1), &blobs([("a", "second"), ("b", "third")]), fill()).await;
    store.assert_holds(&key(1), &blobs([("a", "first"), ("b", "third")])).await;
    store.put_as(&key(1), &blobs([("a", "fourth"), ("b", "fifth")]), fill()).await;
    store.assert_holds(&key(1), &blobs([("a", "first"), ("b", "third")])).await;
    store.assert_usage(&Namespace::root(), 1, 10).await;
}

/// An entry without blobs is `Invalid` and changes nothing.
pub async fn put_of_no_blobs_is_invalid(factory: &dyn Factory) {
    is_invalid(&Subject::open(factory).await, PutEntry::default).await;
}

/// An entry with a name twice is `Invalid` and changes nothing.
pub async fn put_of_a_name_twice_is_invalid(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    is_invalid(&store, || PutEntry::data("one").with(name("b"), "two").with(name("data"), "three")).await;
    is_invalid(&store, || PutEntry::data("same").with(name("data"), "same")).await;
}

async fn is_invalid(store: &Subject, entry: impl Fn() -> PutEntry) {
    let old = blobs([("data", "old"), ("log", "older")]);
    store.put_new(&key(1), &old).await;
    for mode in MODES {
        let kind = store.put_fails(&key(1), entry(), mode).await;
        assert_eq!(kind, cache_core::ErrorKind::Invalid, "{mode:?}");
        store.assert_holds(&key(1), &old).await;
        let kind = store.put_fails(&key(2), entry(), mode).await;
        assert_eq!(kind, cache_core::ErrorKind::Invalid, "{mode:?}");
        store.assert_absent(&key(2)).await;
    }
    store.assert_usage(&Namespace::root(), 1, size(&old)).await;
}

/// `PutOptions::created` is what `meta` answers.
pub async fn put_keeps_a_given_creation_time(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let (oldest, older, old) = (hours_ago(3), hours_ago(2), hours_ago(1));
    let times = async |number| {
        let meta = store.meta(&key(number)).await.expect("an answer").expect("an entry");
        let blobs: Vec<_> = meta.blobs.iter().map(|blob| blob.created).collect();
        (meta.created, meta.modified, blobs)
    };
    store.put_as(&key(1), &blobs([("a", "1"), ("b", "2")]), PutOptions::default().with_created(older)).await;
    assert_eq!(times(1).await, (Some(older), Some(older), vec![Some(older); 2]));
    store.put_as(&key(1), &blobs([("b", "3")]), PutOptions::mode(PutMode::Merge).with_created(old)).await;
    assert_eq!(times(1).await, (Some(older), Some(old), vec![Some(older), Some(old)]));
    let fill = PutOptions::mode(PutMode::Fill).with_created(oldest);
    store.put_as(&key(1), &blobs([("a", "4"), ("c", "5")]), fill).await;
    assert_eq!(times(1).await, (Some(oldest), Some(old), vec![Some(older), Some(old), Some(oldest)]));
    store.assert_holds(&key(1), &blobs([("a", "1"), ("b", "3"), ("c", "5")])).await;
    store.put_as(&key(1), &blobs([("a", "6")]), PutOptions::default().with_created(old)).await;
    assert_eq!(times(1).await, (Some(old), Some(old), vec![Some(old)]));
}
