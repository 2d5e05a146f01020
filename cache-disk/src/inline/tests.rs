use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use cache_core::{ByteRange, Digest, KeyManagement, Namespace, PutEntry, PutOptions, Store, StoreExt};
use rustix::fs::{Advice, CWD, FileType, Mode, fadvise, mknodat};
use tempfile::TempDir;

use super::*;
use crate::DiskOptions;

struct Opened {
    dir: TempDir,
    store: DiskStore,
}

impl Opened {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
        Self { dir, store }
    }

    /// Whether the file system of the temporary directory can be read like this at all.
    fn is_possible(&self) -> bool {
        self.store.0.inline
    }

    async fn put(&self, key: &Key, bytes: impl Into<Bytes>) {
        self.store.put_bytes(key, bytes.into()).await.unwrap();
    }

    fn file(&self, key: &Key) -> PathBuf {
        self.dir.path().join(crate::root::entry_path(key)).join("~data")
    }

    /// What is answered without waiting.
    fn now(&self, key: &Key) -> Option<Option<Bytes>> {
        let found = self.store.get_inline(key, &BlobName::DATA, &GetOptions::default())?;
        Some(found.map(|found| found.bytes))
    }
}

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

fn bytes(len: usize) -> Bytes {
    (0..len).map(|at| (at ^ (at >> 8)).to_le_bytes()[0]).collect()
}

#[tokio::test]
async fn blobs_of_all_sizes_and_their_parts_are_answered_at_once() {
    let opened = Opened::new().await;
    for len in [0, 1, 1000, 65_536, 65_537, 300_000, 4 << 20] {
        let (key, bytes) = (key(&len.to_string()), bytes(len));
        opened.put(&key, bytes.clone()).await;
        if !opened.is_possible() {
            return;
        }
        assert_eq!(opened.now(&key), Some(Some(bytes.clone())), "{len}");
        let middle = ByteRange::new(len as u64 / 3, Some(len as u64 / 2)).unwrap();
        let options = GetOptions::default().with_range(middle);
        let part = opened.store.get_inline(&key, &BlobName::DATA, &options).unwrap().unwrap();
        assert_eq!((part.bytes, part.total), (bytes.slice(len / 3..len / 2), len as u64));
        assert_eq!(part.checksum, Checksum::of(&bytes));
    }
    let large = key("large");
    opened.put(&large, bytes((4 << 20) + 1)).await;
    assert_eq!(opened.now(&large), None, "what is large is copied elsewhere");
}

#[tokio::test]
async fn get_of_cold_blob_never_blocks_the_runtime() {
    let opened = Opened::new().await;
    for len in [1000, 300_000] {
        let (key, bytes) = (key(&len.to_string()), bytes(len));
        let before = opened.store.metrics().lookups();
        opened.put(&key, bytes.clone()).await;
        let file = fs::File::open(opened.file(&key)).unwrap();
        file.sync_all().unwrap();
        // Each look makes the kernel begin to read ahead, and once in a while it has the bytes before the look ends. Who
        // waits for them always gets them.
        let cool = || fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let is_ever = |look: &dyn Fn() -> bool| {
            (0..100).any(|_| {
                cool();
                look()
            })
        };
        let lookups = || opened.store.metrics().lookups();
        assert!(is_ever(&|| opened.now(&key).is_none()), "{len}");
        assert_eq!(lookups(), before);
        let is_left = || {
            let before = lookups();
            let found = opened.store.get_now(key.view(), &BlobName::DATA);
            assert_eq!(lookups() - before, u64::from(found.is_some()));
            found.is_none()
        };
        assert!(is_ever(&is_left), "{len}");
        cool();
        let read = opened.store.get_bytes(&key, &BlobName::DATA).await.unwrap();
        assert_eq!(read.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_miss_is_told_at_once_only_if_there_is_no_entry() {
    let opened = Opened::new().await;
    let (absent, other) = (key("absent"), BlobName::new("other").unwrap());
    assert_eq!(opened.store.get_bytes(&absent, &BlobName::DATA).await.unwrap(), None);
    // The kernel may have forgotten by now that it is not there.
    assert!(matches!(opened.now(&absent), None | Some(None)));
    opened.put(&absent, "v").await;
    let asked = opened.store.get_inline(&absent, &other, &GetOptions::default());
    assert!(asked.is_none(), "the entry is there");
    assert!(opened.store.get(&absent, &other, GetOptions::default()).await.unwrap().is_none());
    assert!(opened.store.get(&absent, &BlobName::DATA, GetOptions::default()).await.unwrap().is_some());
}

#[test]
fn an_entry_that_is_replaced_all_the_time_is_never_missed() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let opened = runtime.block_on(Opened::new());
    let (key, ended) = (key("a"), AtomicBool::new(false));
    runtime.block_on(opened.put(&key, "v"));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut hits = 0;
            while !ended.load(Relaxed) {
                let found = opened.now(&key);
                assert_ne!(found, Some(None));
                hits += usize::from(found.is_some());
            }
            hits
        });
        for _ in 0..2000 {
            runtime.block_on(opened.put(&key, "v"));
        }
        ended.store(true, Relaxed);
        let hits = reader.join().unwrap();
        assert!(hits > 0 || !opened.is_possible());
    });
}

#[tokio::test]
async fn what_is_damaged_or_no_file_is_left_to_the_read_that_drops_and_counts_it() {
    let opened = Opened::new().await;
    let outside = tempfile::tempdir().unwrap();
    let key = key("a");
    let damages: [(&str, &dyn Fn(PathBuf)); 6] = [
        ("a flipped byte", &|path| {
            let mut sealed = fs::read(&path).unwrap();
            sealed[50] ^= 1;
            fs::write(path, sealed).unwrap();
        }),
        ("cut off", &|path| fs::write(path, "short").unwrap()),
        ("a symbolic link to a good file", &|path| {
            let target = outside.path().join("good");
            fs::rename(&path, &target).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        }),
        ("a symbolic link on the way", &|path| {
            let (entry, target) = (path.parent().unwrap(), outside.path().join("entry"));
            fs::rename(entry, &target).unwrap();
            std::os::unix::fs::symlink(target, entry).unwrap();
        }),
        ("a pipe", &|path| {
            fs::remove_file(&path).unwrap();
            mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
        ("a directory", &|path| {
            fs::remove_file(&path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (number, (what, damage)) in damages.into_iter().enumerate() {
        opened.put(&key, "value").await;
        damage(opened.file(&key));
        assert_eq!(opened.now(&key), None, "{what}");
        assert_eq!(opened.store.metrics().corrupt, number as u64, "{what}");
        let error = opened.store.get_bytes(&key, &BlobName::DATA).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}");
        assert_eq!(opened.store.metrics().corrupt, number as u64 + 1, "{what}");
        assert!(!opened.store.contains(&key).await.unwrap(), "{what}");
    }
}

#[tokio::test]
async fn blobs_of_other_names_namespaces_and_limits_are_told_apart() {
    let opened = Opened::new().await;
    let digest = Digest::of("k");
    let (root, below) = (Key::from(digest), Key::new("Team/ä b".parse().unwrap(), digest));
    let odd = BlobName::new("exit code.").unwrap();
    opened.put(&root, "root").await;
    let entry = PutEntry::data("below").with(odd.clone(), "odd");
    opened.store.put(&below, entry, PutOptions::default()).await.unwrap();
    if !opened.is_possible() {
        return;
    }
    assert_eq!(opened.now(&root), Some(Some("root".into())));
    assert_eq!(opened.now(&below), Some(Some("below".into())));
    assert_eq!(opened.store.get_now(below.view(), &odd), Some("odd".into()));
    assert_eq!(opened.store.get_now(root.view(), &odd), None);
    let limited = DiskOptions::new(opened.dir.path()).with_max_blob_bytes(4);
    let limited = DiskStore::open(limited).await.unwrap();
    assert_eq!(limited.get_now(root.view(), &BlobName::DATA), Some("root".into()));
    assert_eq!(limited.get_now(below.view(), &BlobName::DATA), None);
    let error = limited.get_bytes(&below, &BlobName::DATA).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_hit_is_counted_once_and_moves_the_time_of_use() {
    let opened = Opened::new().await;
    let key = key("a");
    opened.put(&key, "value").await;
    let used = async || opened.store.meta(&key).await.unwrap().unwrap().last_accessed.unwrap();
    let before = used().await;
    std::thread::sleep(std::time::Duration::from_millis(2));
    let inline = opened.store.get_now(key.view(), &BlobName::DATA).is_some();
    assert_eq!(opened.store.metrics().hits, u64::from(inline));
    assert!(!inline || used().await > before);
    let mut listed = opened.store.list(cache_core::ListOptions::below(&Namespace::root()));
    let listed = futures::StreamExt::next(&mut listed).await.unwrap().unwrap().last_accessed;
    assert_eq!(listed, Some(used().await));
}

#[tokio::test]
async fn a_closed_store_answers_nothing() {
    let opened = Opened::new().await;
    let key = key("a");
    opened.put(&key, "value").await;
    opened.store.close(None).await.unwrap();
    assert_eq!(opened.store.get_now(key.view(), &BlobName::DATA), None);
    let error = opened.store.get_bytes(&key, &BlobName::DATA).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_system_without_such_reads_is_read_elsewhere() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return };
    let store = DiskStore::open(DiskOptions::new(dir.path())).await.unwrap();
    let opened = Opened { dir, store };
    let key = key("a");
    opened.put(&key, "value").await;
    if !opened.is_possible() {
        assert_eq!(opened.now(&key), None);
    }
    let read = opened.store.get_bytes(&key, &BlobName::DATA).await.unwrap();
    assert_eq!(read.unwrap(), "value");
    assert_eq!(opened.store.metrics().hits, 1);
}
