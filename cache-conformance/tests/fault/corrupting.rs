use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use cache_conformance::fault::{Corrupting, Defect, When};
use cache_core::{BlobName, ByteRange, Checksum, GetOptions, PutEntry, PutOptions, Store, StoreExt};

use crate::sample::{key, large, name, read, read_stream, store};

type Inner = Arc<dyn Store>;

/// One entry, and what goes around it.
async fn with_large() -> Corrupting<Inner> {
    let store = store().await;
    store.put_bytes(&key("a"), large()).await.unwrap();
    Corrupting::new(store)
}

/// In how many bits two values differ.
fn bits(one: &[u8], other: &[u8]) -> u32 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one ^ other).count_ones()).sum()
}

#[tokio::test]
async fn flipped_bit_is_the_only_difference_in_hand_and_streamed() {
    let store = with_large().await;
    store.arm(When::Every(1));
    let mut seen = HashSet::new();
    for _ in 0..20 {
        let in_hand = read(&store, &key("a")).await.unwrap();
        let streamed = read_stream(&store, &key("a")).await.unwrap();
        let now = store.get_now(key("a").view(), &BlobName::DATA).unwrap();
        seen.extend([in_hand, streamed, now]);
    }
    assert!(seen.iter().all(|bytes| bits(bytes, &large()) == 1));
    assert!(seen.len() > 50, "the bit is drawn anew each time");
    assert_eq!((store.reads(), store.damaged()), (60, 60));
    store.arm(When::Never);
    assert_eq!(read(&store, &key("a")).await.unwrap(), large(), "what is stored is as it was");
}

#[tokio::test]
async fn same_seed_does_the_same_damage_in_hand_and_streamed() {
    for damage in [Defect::BitFlip, Defect::Truncation] {
        let of = async |seed, streamed: bool| {
            let store = with_large().await.with_defect(damage).with_seed(seed);
            store.arm(When::Chance(0.5));
            let mut seen = Vec::new();
            for _ in 0..20 {
                seen.push(if streamed {
                    read_stream(&store, &key("a")).await.unwrap()
                } else {
                    read(&store, &key("a")).await.unwrap()
                });
            }
            let damaged = seen.iter().filter(|bytes| **bytes != large()).count();
            assert!((1..20).contains(&damaged) && store.damaged() == damaged as u64);
            seen
        };
        let first = of(1, false).await;
        assert!(first == of(1, false).await && first == of(1, true).await, "{damage:?}");
        assert!(first != of(2, false).await);
    }
}

#[tokio::test]
async fn truncated_bytes_end_early_and_are_told_as_before() {
    let store = with_large().await.with_defect(Defect::Truncation).with_faults(When::Every(1));
    for stream_above in [0, u64::MAX] {
        let options = GetOptions::default().with_stream_above(stream_above);
        let blob = store.get(&key("a"), &BlobName::DATA, options).await.unwrap().unwrap();
        let told = (blob.len(), blob.total_len());
        let bytes = blob.collect(u64::MAX).await.unwrap();
        assert!(bytes.len() < 100_000 && large().starts_with(&bytes));
        let in_hand = stream_above > 0;
        assert_eq!(told, (if in_hand { bytes.len() as u64 } else { 100_000 }, 100_000));
    }
    let now = store.get_now(key("a").view(), &BlobName::DATA).unwrap();
    assert!(now.len() < 100_000 && large().starts_with(&now));
}

#[tokio::test]
async fn checksum_is_that_of_the_true_bytes() {
    for damage in [Defect::BitFlip, Defect::Truncation] {
        let store = with_large().await.with_defect(damage).with_faults(When::Every(1));
        let blob = store.get(&key("a"), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
        assert_eq!(blob.checksum(), Some(Checksum::of(&large())));
    }
}

#[tokio::test]
async fn part_is_damaged_within_itself() {
    let store = with_large().await.with_faults(When::Every(1));
    let range = ByteRange::new(500, Some(510)).unwrap();
    for _ in 0..20 {
        let part = store.get_range(&key("a"), &BlobName::DATA, range).await.unwrap().unwrap();
        assert_eq!(bits(&part, &large()[500..510]), 1);
    }
}

#[tokio::test]
async fn other_entrys_bytes_come_with_its_lengths() {
    let store = store().await;
    let keys = {
        let mut keys = ["a", "b", "c"].map(key);
        keys.sort();
        keys
    };
    for (number, key) in keys.iter().enumerate() {
        let bytes = Bytes::from(vec![b'0'; 10 + number]);
        let entry = PutEntry::data(bytes).with(name(&format!("of-{number}")), "true");
        store.put(key, entry, PutOptions::default()).await.unwrap();
    }
    let store = Corrupting::new(store).with_defect(Defect::OtherEntry).with_faults(When::Every(1));
    for (number, other) in [(0, 11), (1, 12), (2, 10)] {
        let blob = store.get(&keys[number], &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
        assert_eq!((blob.len(), blob.total_len()), (other, other));
        assert_eq!(read_stream(&store, &keys[number]).await.unwrap().len() as u64, other);
        let alone = store.get_bytes(&keys[number], &name(&format!("of-{number}"))).await.unwrap();
        assert_eq!(alone.unwrap(), "true", "no other entry has a blob of that name");
        // Whole entries have no range.
        let ranged = GetOptions::default().with_range(ByteRange::new(0, Some(1)).unwrap());
        let whole = store.get_entry(&keys[number], ranged).await.unwrap().unwrap();
        assert_eq!((whole.meta.key, whole.blobs[0].1.len()), (keys[number].clone(), other));
        assert_eq!(store.get_now(keys[number].view(), &BlobName::DATA), None);
    }
    store.arm(When::Never);
    assert!(store.get_now(keys[0].view(), &BlobName::DATA).is_some());
}

#[tokio::test]
async fn each_blob_with_bytes_counts() {
    let inner = store().await;
    let entry = PutEntry::data("four").with(name("empty"), "").with(name("stdout"), "text");
    inner.put(&key("a"), entry, PutOptions::default()).await.unwrap();
    let store = Corrupting::new(inner).with_faults(When::Nth(2));
    let entry = store.get_entry(&key("a"), GetOptions::default()).await.unwrap().unwrap();
    let blobs: Vec<_> = entry.blobs.iter().map(|(_, blob)| blob.bytes().unwrap()).collect();
    assert_eq!((blobs[0], blobs[1], bits(blobs[2], b"text")), (&"four".into(), &"".into(), 1));
    assert!(read(&store, &key("absent")).await.is_none());
    assert_eq!(store.get_now(key("a").view(), &name("empty")).unwrap(), "");
    assert_eq!((store.reads(), store.damaged()), (2, 1));
}
