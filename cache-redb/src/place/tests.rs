use std::io::{Read, Write};

use super::*;

#[track_caller]
fn kind(path: &Path, access: Access) -> ErrorKind {
    match open(path, access) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(fault) => fault.error().kind(),
    }
}

#[test]
fn file_and_directories_are_made_where_they_are_missing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/c.redb");
    assert_eq!(kind(&path, Access::Change), ErrorKind::Unavailable);
    assert_eq!(kind(&path, Access::Read), ErrorKind::Unavailable);
    assert!(!root.path().join("a").exists());
    open(&path, Access::Write).unwrap().write_all(b"x").unwrap();
    let mut text = String::new();
    open(&path, Access::Write).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
    assert_eq!(kind(&path, Access::New), ErrorKind::Unavailable);
    open(&root.path().join("d"), Access::New).unwrap();
}

#[cfg(unix)]
#[test]
fn new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let root = tempfile::tempdir().unwrap();
    let file = open(&root.path().join("a"), Access::Write).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn directory_is_no_file() {
    let root = tempfile::tempdir().unwrap();
    for access in [Access::Read, Access::Change, Access::Write, Access::New] {
        assert_eq!(kind(root.path(), access), ErrorKind::Invalid);
    }
    let path = root.path().join("file");
    fs::write(&path, "").unwrap();
    assert_eq!(kind(&path.join("below"), Access::Write), ErrorKind::Unavailable);
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_devices_and_sockets_are_refused_at_once() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let socket = root.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    for path in [pipe.as_path(), &socket, &link, Path::new("/dev/null"), Path::new("/dev/zero")] {
        for access in [Access::Read, Access::Change, Access::Write] {
            assert_eq!(kind(path, access), ErrorKind::Invalid, "{}", path.display());
        }
    }
    assert!(fs::symlink_metadata(&pipe).is_ok());
}

#[cfg(unix)]
#[test]
fn link_is_followed_and_nothing_new_is_made_behind_one() {
    let root = tempfile::tempdir().unwrap();
    let (file, link) = (root.path().join("file"), root.path().join("link"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(kind(&link, Access::New), ErrorKind::Unavailable);
    assert!(!file.exists());
    let opened = open(&link, Access::Write).unwrap();
    assert!(is_at(&opened, &file) && is_at(&opened, &link));
    assert_eq!(target(&link), fs::canonicalize(&file).unwrap());
    assert_eq!(target(&file), file);
    fs::rename(&file, root.path().join("moved")).unwrap();
    assert!(!is_at(&opened, &file));
    fs::write(&file, "").unwrap();
    assert!(!is_at(&opened, &file));
}

#[test]
fn name_beside_a_file_is_the_whole_name_and_more() {
    assert_eq!(beside(Path::new("a/b.redb"), ".damaged"), Path::new("a/b.redb.damaged"));
}
