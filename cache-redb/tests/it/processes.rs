//! Another process, which has the file open, and which is killed.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use cache_core::{BlobName, CleanPolicy, ErrorKind, KeyManagement, ListOptions, Namespace, Store, StoreExt};
use cache_redb::{RedbOptions, RedbStore};
use futures::TryStreamExt;

use crate::{key, open};

const PATH: &str = "CACHE_REDB_TEST_PATH";

/// This program as another process, which does what a test of that name does.
struct Other(Child);

impl Other {
    /// Starts it, and waits until it is ready.
    fn start(test: &str, path: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]).env(PATH, path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let is_ready = output.any(|line| line.unwrap().ends_with("ready"));
        assert!(is_ready, "it ended too soon");
        Self(child)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "it is how the other process learns what to do")]
async fn open_there() -> RedbStore {
    open(Path::new(&env::var(PATH).unwrap())).await
}

fn ready() {
    println!("ready");
    std::io::stdout().flush().unwrap();
}

#[ignore = "the other process of a test"]
#[tokio::test]
async fn holds_it() {
    let store = open_there().await;
    store.put_bytes(&key("flushed"), "x".into()).await.unwrap();
    store.flush().await.unwrap();
    store.put_bytes(&key("lost"), "y".into()).await.unwrap();
    ready();
    // Until it is killed.
    sleep(Duration::from_secs(60));
}

#[tokio::test]
async fn a_file_that_another_process_has_open_is_locked_at_once_until_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.redb");
    let other = Other::start("processes::holds_it", &path);
    for read_only in [false, true] {
        let start = Instant::now();
        let error = RedbStore::open(RedbOptions::new(&path).with_read_only(read_only)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_line().contains(path.to_str().unwrap()), "{}", error.to_line());
        assert!(start.elapsed() < Duration::from_secs(1));
    }
    drop(other);
    // It was not closed, and who only looks does not put that right.
    let error = RedbStore::open(RedbOptions::new(&path).with_read_only(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let store = open(&path).await;
    let found = store.get_bytes(&key("flushed"), &BlobName::DATA).await.unwrap();
    assert_eq!(found.as_deref(), Some(b"x".as_slice()));
    assert_eq!(store.metrics().corrupt, 0);
}

/// Entries that are in the file whenever the other process dies.
const KEPT: u64 = 6_000;
const ROUNDS: u64 = 12;

fn blob(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(128)
}

#[ignore = "the other process of a test"]
#[tokio::test]
async fn cleans_it() {
    let store = open_there().await;
    ready();
    store.clean(&Namespace::root(), &CleanPolicy::default()).await.unwrap();
    store.put_bytes(&key("after"), "x".into()).await.unwrap();
    store.flush().await.unwrap();
    sleep(Duration::from_secs(60));
}

/// Tells two files apart that exist at the same time.
fn file_id(path: &Path) -> u64 {
    path.metadata().unwrap().ino()
}

#[tokio::test]
async fn a_file_that_was_being_written_anew_is_the_old_or_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (full, path) = (dir.path().join("full.redb"), dir.path().join("it.redb"));
    let store = open(&full).await;
    for number in 0..KEPT {
        store.put_bytes(&key(&number.to_string()), blob(number).into()).await.unwrap();
    }
    store.close(None).await.unwrap();

    let mut random = fastrand::Rng::new();
    let (mut old, mut between, mut new) = (0, 0, 0);
    for round in 0..ROUNDS {
        _ = std::fs::remove_file(&path);
        std::fs::copy(&full, &path).unwrap();
        let id = file_id(&path);
        let other = Other::start("processes::cleans_it", &path);
        sleep(Duration::from_millis(random.u64(0..25 * (round + 1))));
        let start = Instant::now();
        while round == ROUNDS - 1 && file_id(&path) == id && start.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(1));
        }
        drop(other);
        let left = dir.path().join("it.redb.compacting").exists();
        let store = open(&path).await;
        assert_eq!(store.metrics().corrupt, 0);
        let metas: Vec<_> = store.list(ListOptions::default()).try_collect().await.unwrap();
        assert!(metas.len() as u64 >= KEPT, "{} are left", metas.len());
        for number in 0..KEPT {
            let found = store.get_bytes(&key(&number.to_string()), &BlobName::DATA).await.unwrap();
            assert_eq!(found.as_deref(), Some(&*blob(number)));
        }
        store.close(None).await.unwrap();
        assert!(!dir.path().join("it.redb.compacting").exists());
        match (file_id(&path) == id, left) {
            (true, false) => old += 1,
            (true, true) => between += 1,
            (false, _) => new += 1,
        }
    }
    println!("the old one {old} times, {between} times with a part of the new one, the new one {new} times");
    assert!(new > 0);
}
