use super::*;

#[test]
fn named_directory_is_used_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let ground = Ground::find(Some(dir.path()), false, true).unwrap();
    let site = ground.fresh().unwrap();
    let files = site.subdir("files").unwrap();
    assert!(files.is_dir() && files.starts_with(fs::canonicalize(dir.path()).unwrap()));
    assert_eq!(site.path(), files.parent().unwrap());
    drop(site);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn without_private_mounts_nothing_is_mounted() {
    let ground = Ground::find(None, false, true).unwrap();
    assert!(ground.description.contains("no file system could be made"), "{}", ground.description);
    assert!(ground.fresh().unwrap().mount.is_none());
}

#[test]
fn file_system_is_that_of_the_nearest_mount() {
    assert_eq!(file_system(Path::new("/proc/self")), "proc");
}
