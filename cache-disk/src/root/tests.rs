use std::os::unix::fs::symlink;

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
