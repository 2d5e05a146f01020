use std::{
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::*;

#[test]
fn both_ways_of_opening_refuse_links_and_files_alike() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
    std::fs::write(dir.path().join("a/file"), "").unwrap();
    symlink(dir.path().join("a"), dir.path().join("link")).unwrap();
    let root = Root::open(dir.path()).unwrap();
    for (path, expected) in [
        ("a/b", Ok(())),
        ("a/absent", Err(Errno::NOENT)),
        ("a/file", Err(Errno::NOTDIR)),
        ("link/b", Err(Errno::LOOP)),
    ] {
        for opened in [open_beneath(root.fd(), path), open_by_parts(root.fd(), path)] {
            let refused =
                |error| if error == Errno::NOTDIR || error == Errno::LOOP { Errno::LOOP } else { error };
            assert_eq!(opened.map(drop).map_err(refused), expected.map_err(refused), "{path}");
        }
    }
}

#[test]
fn a_directory_that_others_remove_while_it_is_made_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let (removed, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Relaxed) {
                std::thread::yield_now();
                for below in ["~a/~b/00", "~a/~b", "~a"] {
                    let gone = std::fs::remove_dir(dir.path().join(below)).is_ok();
                    removed.fetch_add(gone.into(), Relaxed);
                }
            }
        });
        let mut made = Ok(());
        while made.is_ok() && removed.load(Relaxed) < 300 {
            std::thread::yield_now();
            made = root.make_dir("~a/~b/00", "put").map(drop);
        }
        ended.store(true, Relaxed);
        made.unwrap();
    });
}
