//! Blobs and entries of all sizes, and budgets while sizes change.

use std::{ops::Range, pin::pin, time::Duration};

use bytes::Bytes;
use cache_core::{BlobName, ByteRange, CleanPolicy, GetOptions, Namespace, PutEntry, PutMode, PutOptions};

use crate::{
    Factory, Setup,
    sample::{
        Contents, blobs, broken_stream, bytes, data, endless_stream, entry, key, key_in, name, namespace,
        stream_of,
    },
    subject::Subject,
};

const BUDGET: u64 = 64 << 10;

/// An eighth of the budget, without what a store may add to each entry.
const PART: usize = 7 << 10;

async fn of_eight_parts(factory: &dyn Factory) -> Option<Subject> {
    Subject::open_bounded(factory, Setup::default().with_max_bytes(BUDGET)).await
}

/// More than fits into the store, or into any tier of it.
fn too_much(store: &Subject) -> Bytes {
    let max = store.info().max_bytes.expect("a budget");
    bytes(50, usize::try_from(max).expect("a small budget") + 1)
}

async fn assert_all_there(store: &Subject, numbers: Range<u64>, when: &str) {
    store.flush().await.expect("a flush");
    for number in numbers {
        let found = store.contents(&key(number)).await;
        assert!(found == Some(data(bytes(number, PART))), "entry {number} is not there: {when}");
    }
}

/// Blobs that end just before, at and just after a border of blocks come back, in hand and streamed.
pub async fn blobs_around_block_borders_round_trip(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let all = bytes(1, 131_073);
    for (number, len) in (0..).zip([0, 1, 2, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073]) {
        let whole = all.slice(..len);
        store.put_new(&key(number), &data(whole.clone())).await;
        store.assert_holds(&key(number), &data(whole.clone())).await;
        let streamed = PutEntry::default().with_stream(BlobName::DATA, Some(len as u64), stream_of(&whole));
        assert!(store.put(&key(number), streamed, PutOptions::default()).await.expect("a put").is_stored());
        store.assert_holds(&key(number), &data(whole.clone())).await;
        for stream_above in [0, u64::MAX] {
            // The last byte, and the last block with the byte before it.
            for start in [len.saturating_sub(1), (len.saturating_sub(1) / 65_536 * 65_536).saturating_sub(1)]
            {
                let range = ByteRange::new(start as u64, None).expect("a range");
                let options = GetOptions::default().with_range(range).with_stream_above(stream_above);
                let tail = store.read_as(&key(number), &BlobName::DATA, options).await.expect("a hit");
                assert!(tail == whole[start..], "the tail from {start} of {len} bytes differs");
            }
        }
    }
    store.assert_usage(&Namespace::root(), 9, 589_827).await;
}

/// Blobs of 8 MiB, and of one byte less and more, come back; a read of up to 8 MiB is in hand by default.
pub async fn blobs_around_eight_mebibytes_round_trip(factory: &dyn Factory) {
    const LIMIT: usize = 8 << 20;
    let store = Subject::open(factory).await;
    let all = bytes(1, LIMIT + 1);
    for (number, len) in (0..).zip([LIMIT - 1, LIMIT, LIMIT + 1]) {
        let whole = all.slice(..len);
        let promised = (number == 1).then_some(len as u64);
        let streamed = PutEntry::default().with_stream(name("streamed"), promised, stream_of(&whole));
        let both = streamed.with(name("in hand"), whole.clone());
        let put = store.put(&key(number), both, PutOptions::default()).await;
        assert!(put.expect("a put").is_stored());
        for blob in ["streamed", "in hand"] {
            let found = store.get(&key(number), &name(blob), GetOptions::default()).await;
            let found = found.expect("an answer").expect("a hit");
            assert_eq!((found.len(), found.total_len()), (len as u64, len as u64), "{blob}");
            assert!(len > LIMIT || found.bytes().is_some(), "{len} bytes {blob} come as a stream");
            assert!(found.collect(1 << 24).await.expect("the bytes") == whole, "{len} bytes {blob} differ");
        }
        store.evict(&key(number)).await.expect("an eviction");
    }
}

/// An entry of a hundred blobs of mixed sizes is one entry.
pub async fn entry_of_a_hundred_blobs_round_trips(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let sizes = [0, 1, 100, 4096, 70_000];
    let blob = |number: u64, seed| bytes(seed, sizes[usize::try_from(number).expect("a small number") % 5]);
    let contents: Contents =
        (0..100).map(|number| (format!("part {number}"), blob(number, number))).collect();
    store.put_new(&key(1), &contents).await;
    store.assert_holds(&key(1), &contents).await;
    let merged: Contents =
        (90..110).map(|number| (format!("part {number}"), blob(number + 1, number + 500))).collect();
    store.put_as(&key(1), &merged, PutOptions::mode(PutMode::Merge)).await;
    let mut expected = contents;
    expected.extend(merged);
    store.assert_holds(&key(1), &expected).await;
    store.assert_usage(&Namespace::root(), 1, crate::sample::size(&expected)).await;
    store.evict(&key(1)).await.expect("an eviction");
    store.assert_absent(&key(1)).await;
    assert_eq!(store.read(&key(1), "part 0").await, None);
    store.assert_usage(&Namespace::root(), 0, 0).await;
}

/// A budget of one byte is one: a byte fits, two do not, and an empty blob takes none of it.
pub async fn budget_of_one_byte_is_kept(factory: &dyn Factory) {
    let unlimited = Subject::open(factory).await;
    let added = unlimited.added_bytes(&["data"]).await;
    unlimited.close(None).await.expect("a close");
    drop(unlimited);
    let Some(store) = Subject::open_bounded(factory, Setup::default().with_max_bytes(1)).await else {
        return;
    };
    let max = store.info().max_bytes.expect("a budget");
    let over = too_much(&store);
    for (number, contents) in (1..).zip([data("1"), blobs([("a", "")]), data("x")]) {
        let outcome = store.write(&key(number), &contents, PutMode::Replace).await.expect("a put");
        // Where what a store adds to an entry counts, nothing fits.
        assert!(outcome.is_stored() || added > 0, "{outcome:?}");
        if outcome.is_stored() {
            store.assert_holds(&key(number), &contents).await;
        }
        store.flush().await.expect("a flush");
        let usage = store.usage_below(&Namespace::root()).await;
        assert!(usage.bytes <= max, "{usage} under a budget of {max} bytes");
        assert!(usage.entries >= 1 || added > 0, "the budget is not used at all");
    }
    let outcome = store.write(&key(9), &data(over), PutMode::Replace).await.expect("a put");
    assert!(!outcome.is_stored(), "over the budget: {outcome:?}");
    store.assert_absent(&key(9)).await;
}

/// Overwriting one entry again and again evicts no other one while all of them fit.
pub async fn overwriting_evicts_no_other_entry(factory: &dyn Factory) {
    let Some(store) = of_eight_parts(factory).await else { return };
    for number in 0..5 {
        store.put_new(&key(number), &data(bytes(number, PART))).await;
    }
    for round in 0..60 {
        let len = if round % 3 == 0 { PART / 2 } else { PART };
        match round % 4 {
            0 => store.put_new(&key(9), &blobs([("data", bytes(round, len)), ("b", bytes(round, 9))])).await,
            1 => {
                let entry =
                    PutEntry::default().with_stream(BlobName::DATA, None, stream_of(&bytes(round, len)));
                assert!(store.put(&key(9), entry, PutOptions::default()).await.expect("a put").is_stored());
            }
            2 => store.put_as(&key(9), &data(bytes(round, len)), PutOptions::mode(PutMode::Merge)).await,
            _ => store.put_new(&key(9), &data(bytes(round, len))).await,
        }
        assert!(store.contains(&key(9)).await.expect("an answer"), "after round {round}");
    }
    assert_all_there(&store, 0..5, "another entry was overwritten, and all fit").await;
}

/// A put that is refused or fails evicts no other entry.
pub async fn refused_put_evicts_no_other_entry(factory: &dyn Factory) {
    let Some(store) = of_eight_parts(factory).await else { return };
    let over = too_much(&store);
    for number in 0..7 {
        store.put_new(&key(number), &data(bytes(number, PART))).await;
    }
    let promised = Some(over.len() as u64);
    let refused = [
        ("in hand", entry(&data(over.clone()))),
        ("two blobs", entry(&blobs([("a", over.slice(..PART * 4)), ("b", over.slice(PART * 4..))]))),
        ("a stream", PutEntry::default().with_stream(BlobName::DATA, promised, stream_of(&over))),
    ];
    for (what, entry) in refused {
        let outcome = store.put(&key(9), entry, PutOptions::default()).await.expect("a put");
        assert!(!outcome.is_stored(), "{what}: {outcome:?}");
    }
    store.put_fails(&key(9), PutEntry::default(), PutMode::Replace).await;
    let broken = PutEntry::default().with_stream(BlobName::DATA, None, broken_stream(&bytes(1, 100)));
    store.put_fails(&key(9), broken, PutMode::Replace).await;
    assert_all_there(&store, 0..7, "a put was refused").await;
}

/// What overwrites, evictions, cleans, refusals, failures and dropped puts free can be used again.
pub async fn freed_bytes_can_be_used_again(factory: &dyn Factory) {
    let Some(store) = of_eight_parts(factory).await else { return };
    let over = too_much(&store);
    let root = Namespace::root();
    for (round, way) in (1..).zip(["smaller", "evicted", "cleaned", "refused", "failed", "dropped", "merged"])
    {
        let large = key_in(&namespace("large"), round);
        let five = PART * 5;
        store.put_new(&large, &data(bytes(round, five))).await;
        match way {
            "smaller" => store.put_new(&large, &data(bytes(round, 10))).await,
            "evicted" => store.evict(&large).await.expect("an eviction"),
            "cleaned" => {
                let all = CleanPolicy::default().with_max_bytes(0);
                store.clean(&large.namespace, &all).await.map(drop).expect("a clean");
            }
            "refused" => {
                let outcome = store.write(&large, &data(over.clone()), PutMode::Merge).await;
                assert!(!outcome.expect("a put").is_stored(), "over the budget");
            }
            "failed" => {
                store.evict(&large).await.expect("an eviction");
                let broken = broken_stream(&bytes(round, PART * 4));
                let entry = PutEntry::default().with_stream(BlobName::DATA, None, broken);
                store.put_fails(&large, entry, PutMode::Replace).await;
            }
            "dropped" => {
                store.evict(&large).await.expect("an eviction");
                let endless = endless_stream(&bytes(round, PART * 4));
                let entry = PutEntry::default().with_stream(BlobName::DATA, None, endless);
                let mut put = pin!(store.put(&large, entry, PutOptions::default()));
                for _ in 0..3 {
                    assert!(futures::poll!(put.as_mut()).is_pending(), "the stream has not ended");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            _ => {
                let merge = PutOptions::mode(PutMode::Merge);
                store.put_as(&large, &data(bytes(round, 10)), merge).await;
            }
        }
        store.flush().await.expect("a flush");
        for number in 0..6 {
            store.put_new(&key(number), &data(bytes(number, PART))).await;
        }
        assert_all_there(&store, 0..6, &format!("another one was {way}, and all fit")).await;
        store.clean(&root, &CleanPolicy::default().with_max_bytes(0)).await.expect("a clean");
        store.assert_usage(&root, 0, 0).await;
    }
}

/// Equal bytes under several keys and names are entries of their own.
pub async fn equal_bytes_are_separate_entries(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let same = bytes(1, 70_000);
    let contents = blobs([("a", same.clone()), ("b", same.clone())]);
    let keys: Vec<_> =
        (0..6).map(|number| key_in(&namespace(["", "x"][number % 2]), number as u64 / 2)).collect();
    for key in &keys {
        store.put_new(key, &contents).await;
    }
    store.assert_usage(&Namespace::root(), 6, 6 * 140_000).await;
    store.evict(&keys[0]).await.expect("an eviction");
    store.put_new(&keys[1], &blobs([("a", "other")])).await;
    store.put_as(&keys[2], &blobs([("a", "other")]), PutOptions::mode(PutMode::Merge)).await;
    store.clean(&Namespace::root(), &CleanPolicy::default().with_max_bytes(1 << 30)).await.expect("a clean");
    store.flush().await.expect("a flush");
    store.assert_absent(&keys[0]).await;
    store.assert_holds(&keys[1], &blobs([("a", "other")])).await;
    let merged: Contents = [("a".to_owned(), "other".into()), ("b".to_owned(), same)].into();
    store.assert_holds(&keys[2], &merged).await;
    for key in &keys[3..] {
        store.assert_holds(key, &contents).await;
    }
    store.assert_usage(&Namespace::root(), 5, 3 * 140_000 + 5 + 70_005).await;
}
