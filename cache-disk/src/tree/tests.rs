use std::{
    ffi::OsStr,
    fs,
    os::{fd::AsFd, unix::ffi::OsStrExt},
};

use super::*;

#[test]
fn a_tree_with_names_that_are_not_utf_8_is_removed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("tree").join(OsStr::from_bytes(b"\xff"));
    fs::create_dir_all(&odd).unwrap();
    fs::write(odd.join(OsStr::from_bytes(b"file \xfe")), "x").unwrap();
    let parent = fs::File::open(dir.path()).unwrap();
    remove_tree(parent.as_fd(), "tree").unwrap();
    assert!(!dir.path().join("tree").exists());
    remove_tree(parent.as_fd(), "tree").unwrap();
}

#[test]
fn a_random_name_is_told_from_others() {
    assert!(is_random_name(&random_name("open").unwrap()));
    for name in ["", "package", &"A".repeat(32), &"0".repeat(31), &"0".repeat(33)] {
        assert!(!is_random_name(name), "{name}");
    }
}

#[test]
fn a_directory_that_was_removed_has_no_names() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let open = fs::File::open(&gone).unwrap();
    fs::remove_dir(&gone).unwrap();
    assert_eq!(names(open.as_fd()), Ok(Vec::new()));
}

#[test]
fn a_lock_that_others_never_give_up_is_waited_for_in_vain_and_not_for_ever() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let again = || fs::File::open(file.path()).unwrap();
    let held = again();
    lock(&held).unwrap();
    let late = again();
    assert_eq!(lock_within(&late, Duration::from_millis(20)), Err(Errno::TIMEDOUT));
    thread::scope(|scope| {
        let waits = scope.spawn(|| lock(&late));
        thread::sleep(Duration::from_millis(20));
        drop(held);
        assert_eq!(waits.join().unwrap(), Ok(()));
    });
}
