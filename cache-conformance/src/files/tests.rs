#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use cache_core::{Digest, Key, Namespace};
use tempfile::TempDir;

use super::{Files, snapshot};
use crate::{Crash, Damage};

/// `<namespace>/<digest>/<anything>`
fn files(root: &TempDir) -> Files {
    Files::new(root.path(), |key| Path::new(key.namespace.encoded()).join(key.digest.to_string()))
}

fn key_in(namespace: &str) -> Key {
    Key::new(namespace.parse::<Namespace>().unwrap(), Digest::of("a"))
}

fn write(files: &Files, key: &Key, name: &str, bytes: &str) {
    let dir = files.dir().join(key.namespace.encoded()).join(key.digest.to_string());
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

#[tokio::test]
async fn objects_are_the_files_of_the_key_and_of_no_other() {
    let root = tempfile::tempdir().unwrap();
    let files = files(&root);
    assert_eq!(files.objects(&key_in("n")).await.unwrap(), [""; 0], "nothing is there yet");
    for namespace in ["", "n", "n/m"] {
        write(&files, &key_in(namespace), "2", namespace);
        write(&files, &key_in(namespace), "1", "one");
        write(&files, &Key::new(namespace.parse().unwrap(), Digest::of("b")), "1", "other");
    }
    for namespace in ["", "n", "n/m"] {
        let objects = files.objects(&key_in(namespace)).await.unwrap();
        let [one, two] = objects.as_slice() else { panic!("{objects:?}") };
        assert_eq!(files.read(one).await.unwrap(), "one");
        assert_eq!(files.read(two).await.unwrap(), namespace.as_bytes());
    }
}

#[tokio::test]
async fn damage_keeps_the_time_of_the_file() {
    let root = tempfile::tempdir().unwrap();
    let files = files(&root);
    write(&files, &key_in("n"), "1", "good");
    let object = files.objects(&key_in("n")).await.unwrap().remove(0);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let path = files.dir().join(&object);
    fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    files.write(&object, "damaged".into()).await.unwrap();
    assert_eq!(files.read(&object).await.unwrap(), "damaged");
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), long_ago);
    files.remove(&object).await.unwrap();
    assert_eq!(files.objects(&key_in("n")).await.unwrap(), [""; 0]);
    files.write(&object, "back".into()).await.unwrap();
    assert_eq!(files.read(&object).await.unwrap(), "back");
}

#[tokio::test]
async fn crash_leaves_a_copy_that_the_old_store_does_not_reach() {
    let root = tempfile::tempdir().unwrap();
    let files = files(&root);
    files.crash().await.unwrap();
    assert!(!files.dir().exists(), "nothing was there to be copied");
    write(&files, &key_in("n"), "1", "before");
    let before = files.dir();
    let modified = |dir: &Path| fs::metadata(dir.join(key_in("n").namespace.encoded())).unwrap().modified();
    let made = modified(&before).unwrap();
    files.crash().await.unwrap();
    assert_ne!(files.dir(), before);
    assert_eq!(modified(&files.dir()).unwrap(), made);
    let object = files.objects(&key_in("n")).await.unwrap().remove(0);
    fs::write(before.join(&object), "after").unwrap();
    assert_eq!(files.read(&object).await.unwrap(), "before");
}

#[tokio::test]
async fn crash_waits_until_the_files_stand_still() {
    let root = tempfile::tempdir().unwrap();
    let files = files(&root);
    write(&files, &key_in("n"), "1", "0");
    let path = files.dir().join(files.objects(&key_in("n")).await.unwrap().remove(0));
    let writer = std::thread::spawn(move || {
        for number in 0..100 {
            fs::write(&path, "x".repeat(number)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    files.crash().await.unwrap();
    writer.join().unwrap();
    let object = files.objects(&key_in("n")).await.unwrap().remove(0);
    let copied = files.read(&object).await.unwrap();
    assert!(copied == "0" || copied.iter().all(|byte| *byte == b'x'), "{copied:?}");
}

/// A file system may put the same time on writes that follow each other closely.
#[cfg(unix)]
#[test]
fn copy_is_of_one_moment_also_where_times_stand_still() {
    let root = tempfile::tempdir().unwrap();
    let from = root.path().join("from");
    fs::create_dir(&from).unwrap();
    let files = ["1", "2"].map(|name| fs::File::create(from.join(name)).unwrap());
    let set = move |number: u32| {
        for file in &files {
            file.write_all_at(format!("{number:03}").as_bytes(), 0).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
    };
    set(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in (0..1000).cycle().take_while(|_| !stop.load(Ordering::SeqCst)) {
                set(number);
                if number == 0 {
                    std::thread::sleep(Duration::from_millis(3)); // long enough to be copied
                }
            }
        });
        let copies = (0..100).map(|number| {
            let to = root.path().join(number.to_string());
            snapshot::take(&from, &to).unwrap();
            ["1", "2"].map(|name| fs::read_to_string(to.join(name)).unwrap().parse::<u32>().unwrap())
        });
        let torn: Vec<_> = copies.filter(|[one, two]| (one + 1000 - two) % 1000 > 1).collect();
        stop.store(true, Ordering::SeqCst);
        assert!(torn.is_empty(), "never there together: {torn:?}");
    });
}
