//! After a clear nothing is left but the store's own files, whoever else is at work.

use std::{cell::Cell, collections::BTreeSet, fs, path::Path, sync::Arc};

use cache_core::{
    BlobName, Cache, CleanPolicy, Digest, GetOptions, Key, KeyManagement, ListOptions, Namespace, PutEntry,
    PutMode, PutOptions, Store, StoreExt, Usage,
};
use cache_disk::DiskStore;
use futures::{
    StreamExt, TryStreamExt,
    future::{join, join_all},
};

use crate::{entry_path, key, open};

/// All that lies in a directory, but for what lies in those of the temporaries and of the index.
fn found(dir: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<String>) {
        for file in fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() && ![".tmp", ".index"].contains(&&*name) {
                walk(root, &path, found);
            }
            found.push(name);
        }
    }
    let mut all = Vec::new();
    walk(dir, dir, &mut all);
    all.sort();
    all
}

fn cache(store: &DiskStore) -> Cache {
    Cache::new(Arc::new(store.clone()))
}

fn digest(n: u32) -> Digest {
    Digest::of(n.to_be_bytes())
}

/// Entries with and without bytes, here and in namespaces below, and some that share a shard.
async fn fill(cache: &Cache, count: u32) {
    let views = [
        cache.clone(),
        cache.namespace("a").unwrap(),
        cache.namespace("a").unwrap().namespace("b").unwrap(),
        cache.namespace("Ab").unwrap(),
    ];
    for (n, view) in (0..count).zip(views.iter().cycle()) {
        view.put(digest(n), vec![7; n as usize % 3 * 100]).await.unwrap();
        view.entry(digest(n)).put("stderr", "").await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_left_but_the_stores_own_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let cache = cache(&store);
    fill(&cache, 600).await;
    cache.flush().await.unwrap();
    // Cleaning to nothing keeps entries without bytes.
    cache.put(digest(1000), "").await.unwrap();
    cache.clean(&CleanPolicy::default().with_max_bytes(0)).await.unwrap();
    assert!(cache.usage().await.unwrap().entries > 0);
    fill(&cache, 599).await;
    let report = cache.clear().await.unwrap();
    assert_eq!((report.evicted_entries, report.failed_entries), (600, 0));
    assert_eq!(found(dir.path()), [".cache-disk", ".index", ".tmp"]);
    assert_eq!(cache.usage().await.unwrap(), Usage::default());
    assert_eq!(store.flush().await.unwrap().entries, 0, "nothing waits to become durable");
    assert_eq!(store.metrics().puts, 2399);
    fill(&cache, 8).await;
    assert_eq!(cache.usage().await.unwrap().entries, 8);
}

#[tokio::test]
async fn a_namespace_is_cleared_with_all_below_it_and_nothing_beside() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let cache = cache(&store);
    fill(&cache, 40).await;
    assert_eq!(cache.namespace("a").unwrap().clear().await.unwrap().evicted_entries, 20);
    let left: BTreeSet<_> = store
        .list(ListOptions::below(&Namespace::root()))
        .map_ok(|meta| meta.key.namespace.to_string())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(left, BTreeSet::from([String::new(), "Ab".to_owned()]));
    assert!(!dir.path().join("~a").exists() && dir.path().join("~%41b").exists());
}

#[tokio::test]
async fn a_clear_leaves_strangers_and_the_directories_that_hold_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let inner = Key::new("a".parse().unwrap(), key("a").digest);
    store.put_bytes(&inner, "v".into()).await.unwrap();
    store.put_bytes(&key("b"), "v".into()).await.unwrap();
    let strangers =
        [dir.path().join("~a/notes.txt"), entry_path(dir.path(), &key("b")).parent().unwrap().join("odd")];
    for stranger in &strangers {
        fs::write(stranger, "a stranger's").unwrap();
    }
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    assert!(cache(&store).clear().await.unwrap().is_complete());
    let shard = key("b").digest.to_string()[..2].to_owned();
    let mut expected = [
        ".cache-disk",
        ".index",
        ".tmp",
        &shard,
        &format!("{shard}/odd"),
        "lost+found",
        "~a",
        "~a/notes.txt",
    ];
    expected.sort_unstable();
    assert_eq!(found(dir.path()), expected);
}

#[tokio::test]
async fn an_evicted_entry_takes_the_directories_that_only_it_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let deep = Key::new("a/b/c".parse().unwrap(), key("k").digest);
    let higher = Key::new("a".parse().unwrap(), key("k").digest);
    store.put_bytes(&deep, "v".into()).await.unwrap();
    store.put_bytes(&higher, "v".into()).await.unwrap();
    store.evict(&deep).await.unwrap();
    assert!(!dir.path().join("~a/~b").exists() && dir.path().join("~a").exists());
    assert!(store.contains(&higher).await.unwrap());
    store.evict(&higher).await.unwrap();
    assert_eq!(found(dir.path()), [".cache-disk", ".index", ".tmp"]);
}

#[tokio::test]
async fn a_removal_is_counted_and_takes_a_stranger_with_the_directories_that_only_it_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = key("k");
    let path = entry_path(dir.path(), &key);
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, "a stranger's").unwrap();
    store.evict(&key).await.unwrap();
    assert_eq!(found(dir.path()), [".cache-disk", ".index", ".tmp"]);
    store.evict(&key).await.unwrap();
    assert_eq!((store.metrics().removals, store.metrics().evictions), (2, 0));
}

/// What an entry may be at any time: there with both its blobs, or not there.
async fn whole_or_gone(store: &DiskStore, key: &Key) {
    if let Some(read) = store.get_entry(key, GetOptions::default()).await.unwrap() {
        let blobs: Vec<_> = read.blobs.iter().map(|(name, blob)| (name.to_string(), blob.len())).collect();
        assert_eq!(blobs, [("data".to_owned(), 300), ("log".to_owned(), 3)]);
    }
}

/// Two stores of one directory, as two processes have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn puts_during_a_clear_succeed_and_are_whole_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let stores = [open(dir.path()).await, open(dir.path()).await];
    let namespaces = ["", "a", "a/b"].map(|path| path.parse::<Namespace>().unwrap());
    let cleared = Cell::new(false);
    let puts = (0..6_usize).map(|writer| {
        let (stores, namespaces, cleared) = (&stores, &namespaces, &cleared);
        async move {
            for n in (0_usize..).take_while(|n| *n < 200 || !cleared.get()) {
                // Two shards of few entries, so that they come and go all the time.
                let digest: Digest = format!("{:02x}{:062x}", n % 2, writer % 3).parse().unwrap();
                let key = Key::new(namespaces[n % 3].clone(), digest);
                let entry = PutEntry::data(vec![3; 300]).with(BlobName::new("log").unwrap(), "log");
                let mode = [PutMode::Replace, PutMode::Merge, PutMode::Fill][n % 5 % 3];
                let outcome = stores[writer % 2].put(&key, entry, PutOptions::mode(mode)).await.unwrap();
                assert!(outcome.is_stored());
                whole_or_gone(&stores[0], &key).await;
            }
        }
    });
    let clears = async {
        let (mut clears, mut evicted) = (0, 0);
        // Few that find nothing are of no consequence.
        while clears < 150 || evicted <= 100 {
            let report = cache(&stores[1]).clear().await.unwrap();
            assert!(report.is_complete(), "{report}");
            clears += 1;
            evicted += report.evicted_entries;
        }
        cleared.set(true);
    };
    join(join_all(puts), clears).await;
    let root = Namespace::root();
    let left: Vec<_> = stores[0].list(ListOptions::below(&root)).try_collect().await.unwrap();
    for meta in &left {
        assert!(stores[1].contains(&meta.key).await.unwrap());
        whole_or_gone(&stores[1], &meta.key).await;
    }
    let report = cache(&stores[1]).clear().await.unwrap();
    assert_eq!(report.evicted_entries, left.len() as u64);
    assert_eq!(found(dir.path()), [".cache-disk", ".index", ".tmp"]);
    assert_eq!(stores[0].usage(&root).await.unwrap(), Usage::default());
}

#[tokio::test]
async fn a_put_that_streams_through_a_clear_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let key = Key::new("a".parse().unwrap(), key("k").digest);
    let (sender, pieces) = futures::channel::mpsc::unbounded();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces.boxed());
    let mut put = store.put(&key, entry, PutOptions::default());
    assert!(futures::poll!(&mut put).is_pending());
    store.put_bytes(&key, "older".into()).await.unwrap();
    assert!(cache(&store).clear().await.unwrap().is_complete());
    sender.unbounded_send(Ok("newer".into())).unwrap();
    drop(sender);
    assert!(put.await.unwrap().is_stored());
    assert_eq!(store.get_bytes(&key, &BlobName::DATA).await.unwrap().unwrap(), "newer");
}

/// Ascending: one entry before a shard that cannot be read, one in it, one behind it.
#[tokio::test]
async fn a_shard_that_cannot_be_read_hides_nothing_before_it() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let keys = ["00", "40", "ff"].map(|shard| Key::from(shard.repeat(32).parse::<Digest>().unwrap()));
    for key in &keys {
        store.put_bytes(key, "v".into()).await.unwrap();
    }
    let shard = dir.path().join("40");
    fs::set_permissions(&shard, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&shard).is_ok() {
        return; // Whoever may do everything can read it.
    }
    let listed: Vec<_> = store.list(ListOptions::default()).collect().await;
    let listed: Vec<_> =
        listed.into_iter().map(|one| one.map(|meta| meta.key).map_err(|e| e.kind())).collect();
    let report = cache(&store).clear().await;
    fs::set_permissions(&shard, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(listed, [Ok(keys[0].clone()), Err(cache_core::ErrorKind::Denied)]);
    let report = report.unwrap();
    assert_eq!((report.evicted_entries, report.is_complete()), (1, false));
    assert!(!store.contains(&keys[0]).await.unwrap() && store.contains(&keys[1]).await.unwrap());
}

#[tokio::test]
async fn a_clear_that_is_dropped_leaves_whole_entries() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let cache = cache(&store);
    for n in 0..50 {
        let entry = PutEntry::data(vec![3; 300]).with(BlobName::new("log").unwrap(), "log");
        cache.put_with(digest(n), entry, PutOptions::default()).await.unwrap();
    }
    for polls in 1..20 {
        let mut cleared = Box::pin(cache.clear());
        for _ in 0..polls {
            if futures::poll!(cleared.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(cleared);
        for n in 0..50 {
            whole_or_gone(&store, &Key::from(digest(n))).await;
        }
    }
    assert!(cache.clear().await.unwrap().is_complete());
    store.close(None).await.unwrap();
    assert_eq!(found(dir.path()), [".cache-disk", ".index", ".tmp"]);
}
