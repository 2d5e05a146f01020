use std::fs;

use cache_core::Digest;
use rustix::fs::{Mode, openat};

use super::*;
use crate::tree::DIR_FLAGS;

/// Whether a shard of the namespace `a`, in which `prepare` made something, and the namespace are there
/// after a prune.
fn left(prepare: impl Fn(&std::path::Path, &std::path::Path)) -> (bool, bool) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let key = Key::new("a".parse().unwrap(), Digest::of("k"));
    let path = dir.path().join(shard_path(&key));
    fs::create_dir_all(&path).unwrap();
    let shard = openat(root.fd(), shard_path(&key), DIR_FLAGS, Mode::empty()).unwrap();
    prepare(&path, &dir.path().join("~a"));
    prune(&root, &key, &shard);
    (path.exists(), dir.path().join("~a").exists())
}

#[test]
fn only_what_is_empty_goes() {
    assert_eq!(left(|_, _| {}), (false, false));
    assert_eq!(left(|shard, _| fs::create_dir(shard.join("entry")).unwrap()), (true, true));
    assert_eq!(left(|shard, _| fs::write(shard.join("notes.txt"), "").unwrap()), (true, true));
    assert_eq!(left(|_, namespace| fs::write(namespace.join("notes.txt"), "").unwrap()), (false, true));
}

#[test]
fn a_shard_that_came_in_place_of_the_locked_one_stays() {
    let replaced = |shard: &std::path::Path, namespace: &std::path::Path| {
        fs::rename(shard, namespace.join("elsewhere")).unwrap();
        fs::create_dir(shard).unwrap();
    };
    assert_eq!(left(replaced), (true, true));
}
