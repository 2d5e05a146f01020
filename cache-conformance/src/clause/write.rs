//! Writing entries in one piece.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::{Envelope, Namespace, PutEntry, PutMode, PutOptions, PutStatus};

use crate::{
    Factory,
    sample::{blobs, bytes, data, hours_ago, key, name, now, size, stream_of},
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
        assert_eq!(store.get_now(key(1).view(), &name(gone)), None, "{gone} was replaced");
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
    // Zero is a time.
    let epoch = SystemTime::UNIX_EPOCH;
    store.put_as(&key(2), &blobs([("a", "7")]), PutOptions::default().with_created(epoch)).await;
    assert_eq!(times(2).await, (Some(epoch), Some(epoch), vec![Some(epoch)]));
}

/// A put without a time of creation is made now: `Replace` altogether, the others in what they add.
pub async fn put_without_a_time_is_made_now(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let old = hours_ago(3);
    for (number, mode) in (1..).zip(MODES) {
        let both = blobs([("a", "old a"), ("b", "old b")]);
        store.put_as(&key(number), &both, PutOptions::default().with_created(old)).await;
        // Stores keep other and coarser clocks than this process.
        let earliest = now() - Duration::from_secs(5);
        store.put_as(&key(number), &blobs([("b", "new b"), ("c", "new c")]), PutOptions::mode(mode)).await;
        let latest = now() + Duration::from_secs(5);
        let meta = store.meta(&key(number)).await.expect("an answer").expect("an entry");
        let made_now = |blob: &str| {
            let blob = meta.blobs.iter().find(|found| found.name == name(blob)).expect("a blob");
            let created = blob.created.expect("created of each blob");
            assert!(created == old || (earliest <= created && created <= latest), "{mode:?}: {blob:?}");
            created != old
        };
        assert!(made_now("c"), "{mode:?}: a new blob has an old time");
        assert_eq!(made_now("b"), mode != PutMode::Fill, "{mode:?}: the time of a blob that is there");
        assert!(mode == PutMode::Replace || !made_now("a"), "{mode:?}: a blob that is kept has a new time");
        assert_eq!(meta.created == Some(old), mode != PutMode::Replace, "{mode:?}: created of the entry");
        assert!(
            meta.modified.is_some_and(|modified| modified >= earliest),
            "{mode:?}: modified of the entry"
        );
    }
    // The same bytes again are made again; a fill that adds nothing makes nothing.
    let same = data("the same");
    store.put_as(&key(9), &same, PutOptions::default().with_created(old)).await;
    store.put_as(&key(9), &same, PutOptions::mode(PutMode::Fill)).await;
    let meta = store.meta(&key(9)).await.expect("an answer").expect("an entry");
    assert_eq!((meta.created, meta.modified), (Some(old), Some(old)), "after a fill that adds nothing");
    store.put_new(&key(9), &same).await;
    let meta = store.meta(&key(9)).await.expect("an answer").expect("an entry");
    assert!(
        meta.created > Some(old) && meta.modified > Some(old),
        "the same bytes keep an old time: {meta:?}"
    );
}

/// Bytes come back as they were put, whatever they look like.
pub async fn any_bytes_round_trip(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let begins_as = |magic: &[u8]| Bytes::from([magic, &bytes(1, 3000)].concat());
    let half = [bytes(1, 70_000), vec![0; 70_000].into()].concat();
    let contents = blobs([
        ("zeros", Bytes::from(vec![0; 200_000])),
        ("zeros at the end", half.into()),
        ("one byte often", vec![0xff; 100_000].into()),
        ("a pattern", b"again and ".repeat(20_000).into()),
        ("lines", "\u{feff}one\r\ntwo\n\rthree\u{1a}\0\r\n".into()),
        ("no text", Bytes::from_static(b"\xc3\x28\xff\xfe\x80")),
        ("gzip", begins_as(b"\x1f\x8b\x08\0\0\0\0\0")),
        ("zlib", begins_as(b"\x78\x9c")),
        ("zstd", begins_as(b"\x28\xb5\x2f\xfd")),
        ("lz4", begins_as(b"\x04\x22\x4d\x18")),
        ("zip", begins_as(b"PK\x03\x04")),
        ("json", Bytes::from_static(b"null")),
        ("an envelope", Envelope::seal(&key(1), &name("an envelope"), b"inside").into()),
    ]);
    store.put_new(&key(1), &contents).await;
    store.assert_holds(&key(1), &contents).await;
    let streamed = contents.iter().fold(PutEntry::default(), |entry, (text, bytes)| {
        entry.with_stream(name(text), None, stream_of(bytes))
    });
    assert!(store.put(&key(2), streamed, PutOptions::default()).await.expect("a put").is_stored());
    store.assert_holds(&key(2), &contents).await;
    // Alone in their entry, too.
    for (number, (text, bytes)) in (10..).zip(&contents) {
        let alone = blobs([(&**text, bytes.clone())]);
        store.put_new(&key(number), &alone).await;
        store.assert_holds(&key(number), &alone).await;
    }
}
