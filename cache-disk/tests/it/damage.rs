//! Damaged files: never wrong bytes, never a panic, and healed by the next put.

use std::fs;

use cache_core::{
    BlobName, Envelope, ErrorKind, GetOptions, Key, KeyManagement, PutEntry, PutMode, PutOptions, Store,
    StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};

use crate::{blob_path, entry_path, key, open};

async fn put(store: &DiskStore, key: &Key, bytes: &'static [u8]) {
    store.put_bytes(key, bytes.into()).await.unwrap();
}

async fn get(store: &DiskStore, key: &Key) -> Result<Option<Vec<u8>>, ErrorKind> {
    let read = store.get_bytes(key, &BlobName::DATA).await;
    read.map(|found| found.map(Into::into)).map_err(|error| error.kind())
}

#[tokio::test]
async fn every_flipped_byte_is_noticed_dropped_and_healed_by_the_next_put() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (key, other) = (key("a"), key("b"));
    put(&store, &other, b"untouched").await;
    put(&store, &key, b"some forty bytes of a value to be damaged").await;
    let path = blob_path(dir.path(), &key);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).unwrap();
        assert_eq!(get(&store, &key).await, Err(ErrorKind::Corrupt), "byte {at}");
        assert_eq!(get(&store, &key).await, Ok(None), "byte {at}: the damaged entry was dropped");
        put(&store, &key, b"some forty bytes of a value to be damaged").await;
    }
    assert_eq!(store.metrics().corrupt, good.len() as u64);
    assert_eq!(get(&store, &other).await, Ok(Some(b"untouched".to_vec())));
}

#[tokio::test]
async fn every_truncation_and_an_extension_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    put(&store, &key, b"value").await;
    let path = blob_path(dir.path(), &key);
    let good = fs::read(&path).unwrap();
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        assert_eq!(get(&store, &key).await, Err(ErrorKind::Corrupt), "cut at {len}");
        put(&store, &key, b"value").await;
    }
    fs::write(&path, [good.as_slice(), b"more"].concat()).unwrap();
    assert_eq!(get(&store, &key).await, Err(ErrorKind::Corrupt));
}

#[tokio::test]
async fn two_swapped_files_are_both_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (a, b) = (key("a"), key("b"));
    put(&store, &a, b"of a").await;
    put(&store, &b, b"of b").await;
    let (path_a, path_b) = (blob_path(dir.path(), &a), blob_path(dir.path(), &b));
    let swapped = fs::read(&path_a).unwrap();
    fs::copy(&path_b, &path_a).unwrap();
    fs::write(&path_b, swapped).unwrap();
    assert_eq!(get(&store, &a).await, Err(ErrorKind::Corrupt));
    assert_eq!(get(&store, &b).await, Err(ErrorKind::Corrupt));
}

#[tokio::test]
async fn a_blob_moved_to_another_namespace_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let here = key("a");
    let there = Key::new("ns".parse().unwrap(), here.digest);
    put(&store, &here, b"value").await;
    put(&store, &there, b"other").await;
    let target = entry_path(&dir.path().join("~ns"), &there).join("~data");
    fs::copy(blob_path(dir.path(), &here), target).unwrap();
    assert_eq!(get(&store, &there).await, Err(ErrorKind::Corrupt));
}

#[tokio::test]
async fn damage_in_the_middle_of_a_large_blob_ends_the_stream_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("large");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8 ^ (n >> 8) as u8).collect();
    store.put_bytes(&key, bytes.clone().into()).await.unwrap();
    let path = blob_path(dir.path(), &key);
    let mut bad = fs::read(&path).unwrap();
    bad[48 + 2_500_000] ^= 1;
    fs::write(&path, bad).unwrap();
    let options = GetOptions::default().with_stream_above(0);
    let blob = store.get(&key, &BlobName::DATA, options).await.unwrap().unwrap();
    let mut stream = blob.into_stream();
    let mut seen = Vec::new();
    let error = loop {
        match futures::StreamExt::next(&mut stream).await.unwrap() {
            Ok(piece) => seen.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(seen.len() < 2_500_000 && bytes.starts_with(&seen));
    assert_eq!(get(&store, &key).await, Ok(None));
}

#[tokio::test]
async fn damage_to_one_blob_takes_the_whole_entry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    let entry = PutEntry::data("out").with(BlobName::new("stdout").unwrap(), "text");
    store.put(&key, entry, PutOptions::default()).await.unwrap();
    fs::write(blob_path(dir.path(), &key), "rubbish").unwrap();
    assert_eq!(store.get_entry(&key, GetOptions::default()).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(!store.contains(&key).await.unwrap(), "half an entry must not pass for one");
}

#[tokio::test]
async fn a_blob_over_the_limit_is_refused_on_get_too() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()).await, &key("a"), b"0123456789").await;
    let limited = |max: u64| DiskStore::open(DiskOptions::new(dir.path()).with_max_blob_bytes(max));
    assert_eq!(get(&limited(10).await.unwrap(), &key("a")).await, Ok(Some(b"0123456789".to_vec())));
    assert_eq!(get(&limited(9).await.unwrap(), &key("a")).await, Err(ErrorKind::TooLarge));
}

#[tokio::test]
async fn a_file_that_is_a_hole_of_4_tib_costs_neither_memory_nor_time() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    let payload = 1_u64 << 42;
    let len = Envelope::sealed_len(payload);
    for with_footer in [false, true] {
        put(&store, &key, b"value").await;
        let file = fs::OpenOptions::new().write(true).open(blob_path(dir.path(), &key)).unwrap();
        file.set_len(len).unwrap();
        if with_footer {
            file.write_all_at(&payload.to_le_bytes(), len - 48).unwrap();
            file.write_all_at(b"CBLOBEND", len - 8).unwrap();
        }
        let begun = std::time::Instant::now();
        for stream_above in [0, u64::MAX] {
            let options = GetOptions::default().with_stream_above(stream_above);
            let read = store.get(&key, &BlobName::DATA, options).await;
            assert!(read.map_or_else(|error| error.kind() == ErrorKind::Corrupt, |found| found.is_none()));
        }
        // To read all of it takes many minutes.
        assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_replaced_all_the_time_is_there_all_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    let side = BlobName::new("side").unwrap();
    let replace = |n: u8| {
        let entry = PutEntry::data(vec![n; 2000]).with(side.clone(), vec![n; 5000]);
        store.put(&key, entry, PutOptions::default())
    };
    replace(0).await.unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_millis(700);
    let writer = async {
        let mut n = 0_u8;
        while std::time::Instant::now() < end {
            n = n.wrapping_add(1);
            replace(n).await.unwrap();
        }
    };
    let reader = async {
        while std::time::Instant::now() < end {
            assert!(store.contains(&key).await.unwrap());
            let options = GetOptions::default().with_stream_above(100);
            let entry = store.get_entry(&key, options).await.unwrap().unwrap();
            let mut seen = Vec::new();
            for (_, blob) in entry.blobs {
                seen.push(blob.collect(1 << 20).await.unwrap()[0]);
            }
            assert!(seen.len() == 2 && seen[0] == seen[1], "{seen:?}");
        }
    };
    futures::join!(writer, reader);
}

#[tokio::test]
async fn an_entry_with_nothing_but_a_link_is_none_and_filled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    fs::create_dir_all(entry_path(dir.path(), &key)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", blob_path(dir.path(), &key)).unwrap();
    assert!(!store.contains(&key).await.unwrap());
    store.put(&key, PutEntry::data("new"), PutOptions::mode(PutMode::Fill)).await.unwrap();
    assert_eq!(get(&store, &key).await, Ok(Some(b"new".to_vec())));
}

#[tokio::test]
async fn two_swapped_entries_and_two_swapped_blobs_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (a, b, c) = (key("a"), key("b"), key("c"));
    let log = BlobName::new("log").unwrap();
    for key in [&a, &b, &c] {
        let entry = PutEntry::data("output of the tool").with(log.clone(), "what the tool said");
        store.put(key, entry, PutOptions::default()).await.unwrap();
    }
    let swap = |one: &std::path::Path, other: &std::path::Path| {
        let aside = dir.path().join("aside");
        fs::rename(one, &aside).unwrap();
        fs::rename(other, one).unwrap();
        fs::rename(&aside, other).unwrap();
    };
    swap(&entry_path(dir.path(), &a), &entry_path(dir.path(), &b));
    let files = entry_path(dir.path(), &c);
    swap(&files.join("~data"), &files.join("~log"));
    for key in [&a, &b, &c] {
        let read = store.get_bytes(key, &log).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt, "{key}");
        assert_eq!(get(&store, key).await, Ok(None));
    }
}

/// What a newer version wrote is refused and stays, whatever it has behind the header.
#[tokio::test]
async fn what_a_newer_version_wrote_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("a");
    for (len, longer) in [(5_usize, 0), (5, 9), (65_530, 20), (3_000_000, 1), (3_000_000, 12)] {
        store.put_bytes(&key, vec![1; len].into()).await.unwrap();
        let path = blob_path(dir.path(), &key);
        let mut newer = fs::read(&path).unwrap();
        newer[8] = 2;
        let sum = xxhash_rust::xxh3::xxh3_128(&newer[..32]).to_le_bytes();
        newer[32..48].copy_from_slice(&sum);
        newer.extend(vec![3; longer]);
        fs::write(&path, &newer).unwrap();
        for quietly in [false, true] {
            assert_eq!(get(&store, &key).await, Err(ErrorKind::Unsupported), "{len} + {longer}");
            let mut options = GetOptions::default();
            options.quiet = quietly;
            let error = store.get_entry(&key, options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{len} + {longer}");
        }
        assert_eq!(fs::read(&path).unwrap(), newer, "{len} + {longer}");
    }
    assert!(!dir.path().join(".quarantine").exists());
}
