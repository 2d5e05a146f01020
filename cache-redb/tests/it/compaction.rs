//! A clean writes the file anew: it gets small, and nobody else notices.

use std::path::Path;

use bytes::Bytes;
use cache_core::{
    BlobName, ByteRange, CleanPolicy, GetOptions, KeyManagement, Namespace, PutEntry, PutOptions, Store,
    StoreExt,
};
use cache_redb::RedbStore;
use futures::{FutureExt, StreamExt, TryStreamExt, channel::mpsc, future::join, stream};

use crate::{key, open};

const ENTRIES: u64 = 8_000;
const LARGE: usize = 2 << 20;

fn small(number: u64) -> Bytes {
    number.to_le_bytes().repeat(128).into()
}

fn large(seed: u8) -> Bytes {
    (0..LARGE).map(|index| seed ^ (index / 7 % 251).to_le_bytes()[0]).collect()
}

async fn fill(store: &RedbStore) {
    let puts = (0..ENTRIES).map(|number| {
        let store = store.clone();
        async move { store.put_bytes(&key(&number.to_string()), small(number)).await.unwrap() }
    });
    stream::iter(puts).buffer_unordered(64).collect::<Vec<_>>().await;
}

async fn check(store: &RedbStore, number: u64) {
    let found = store.get_bytes(&key(&number.to_string()), &BlobName::DATA).await.unwrap();
    assert_eq!(found, Some(small(number)), "{number}");
}

async fn clean(store: &RedbStore) {
    let report = store.clean(&Namespace::root(), &CleanPolicy::default()).await.unwrap();
    assert_eq!(report.evicted_entries, 0);
}

fn len(path: &Path) -> u64 {
    path.metadata().unwrap().len()
}

#[tokio::test]
async fn a_file_of_1_kib_entries_takes_1_6_times_their_bytes_after_a_clean() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    let store = open(&path).await;
    fill(&store).await;
    store.flush().await.unwrap();
    let before = len(&path);
    clean(&store).await;
    let after = len(&path);
    assert!(after * 10 <= ENTRIES * 1024 * 16, "{after}, {before} before");
    assert!(before > after);
    clean(&store).await;
    assert_eq!(len(&path), after);
    for number in 0..ENTRIES {
        check(&store, number).await;
    }
    // It is durable as it is.
    let copy = dir.path().join("copy.redb");
    std::fs::copy(&path, &copy).unwrap();
    let copy = open(&copy).await;
    assert_eq!(copy.usage(&Namespace::root()).await.unwrap().entries, ENTRIES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_streams_and_uploads_go_on_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    let store = open(&path).await;
    store.put_bytes(&key("large"), large(1)).await.unwrap();
    store.put_bytes(&key("replaced"), large(2)).await.unwrap();
    fill(&store).await;
    for number in (1..ENTRIES).step_by(2) {
        store.evict(&key(&number.to_string())).await.unwrap();
    }

    let begin = |name| {
        let store = store.clone();
        async move {
            let options = GetOptions::default().with_stream_above(0);
            let mut stream =
                store.get(&key(name), &BlobName::DATA, options).await.unwrap().unwrap().into_stream();
            let first = stream.try_next().await.unwrap().unwrap();
            (first, stream)
        }
    };
    let (one, two) = join(begin("large"), begin("replaced")).await;
    store.put_bytes(&key("replaced"), "small now".into()).await.unwrap();
    let (mut feed, fed) = mpsc::channel(1);
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, fed.boxed());
    let new = key("new");
    let put = store.put(&new, entry, PutOptions::default());
    let work = async {
        let bytes = large(3);
        let (head, tail) = bytes.split_at(LARGE / 2);
        for part in head.chunks(100_000) {
            futures::SinkExt::send(&mut feed, Ok(Bytes::copy_from_slice(part))).await.unwrap();
        }
        let before = file_id(&path);
        let cleaning = clean(&store).shared();
        let reading = async {
            let mut random = fastrand::Rng::new();
            let mut reads = 0;
            while cleaning.peek().is_none() {
                check(&store, 2 * random.u64(0..ENTRIES / 2)).await;
                reads += 1;
                tokio::task::yield_now().await;
            }
            reads
        };
        let ((), reads) = join(cleaning.clone(), reading).await;
        assert!(reads > 10, "{reads} reads");
        assert_ne!(file_id(&path), before, "it was not written anew");
        for part in tail.chunks(100_000) {
            futures::SinkExt::send(&mut feed, Ok(Bytes::copy_from_slice(part))).await.unwrap();
        }
        drop(feed);
    };
    let (stored, ()) = join(put, work).await;
    assert!(stored.unwrap().is_stored());

    for (seed, (first, rest)) in [(1, one), (2, two)] {
        let rest: Vec<Bytes> = rest.try_collect().await.unwrap();
        assert!([vec![first], rest].concat().concat() == large(seed), "the stream of {seed}");
    }
    let found = store.get_bytes(&key("new"), &BlobName::DATA).await.unwrap().unwrap();
    assert!(found == large(3));
    let part = GetOptions::default().with_range(ByteRange::new(1_000_000, Some(1_000_010)).unwrap());
    let part = store.get(&key("large"), &BlobName::DATA, part).await.unwrap().unwrap();
    assert_eq!(part.bytes().unwrap(), &large(1).slice(1_000_000..1_000_010));
    store.close(None).await.unwrap();
    drop(store);
    let store = open(&path).await;
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, ENTRIES / 2 + 3);
    assert_eq!(store.metrics().corrupt, 0);
}

/// Another file has another one.
fn file_id(path: &Path) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap())
    }
    #[cfg(not(unix))]
    len(path)
}
