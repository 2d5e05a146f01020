use std::{
    fs,
    time::{Duration, Instant},
};

use redb::{ReadableDatabase, TableDefinition};
use tempfile::TempDir;

use super::*;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("table");

fn place() -> (TempDir, FileMedium) {
    let root = tempfile::tempdir().unwrap();
    let medium = FileMedium::new(&root.path().join("sub/cache.redb"), 1 << 20);
    (root, medium)
}

fn put(database: &Database, key: u64, value: &[u8]) {
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TABLE).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

fn get(database: &impl ReadableDatabase, key: u64) -> Option<Vec<u8>> {
    let table = database.begin_read().unwrap().open_table(TABLE).unwrap();
    table.get(key).unwrap().map(|value| value.value().to_vec())
}

/// A medium whose file has these bytes.
fn holding(bytes: &[u8]) -> (TempDir, FileMedium) {
    let (root, medium) = place();
    fs::create_dir_all(medium.path.parent().unwrap()).unwrap();
    fs::write(&medium.path, bytes).unwrap();
    (root, medium)
}

fn a_database() -> Vec<u8> {
    let (_root, medium) = place();
    let database = medium.open().unwrap();
    for key in 0..40 {
        put(&database, key, &[7; 1000]);
    }
    drop(database);
    fs::read(&medium.path).unwrap()
}

#[track_caller]
fn refused<T>(result: Result<T, Fault>, kind: ErrorKind) -> Error {
    match result {
        Err(Fault::Refused(error)) if error.kind() == kind => error,
        Err(fault) => panic!("{fault:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn database_is_made_and_kept() {
    let (_root, medium) = place();
    let database = medium.open().unwrap();
    put(&database, 1, b"one");
    drop(database);
    let database = medium.open().unwrap();
    assert_eq!(get(&database, 1).unwrap(), b"one");
    let taken = medium.len().unwrap();
    assert!(taken > 0 && taken <= fs::metadata(&medium.path).unwrap().len());
}

#[test]
fn open_database_is_locked_at_once_and_named() {
    let (_root, medium) = place();
    let database = medium.open().unwrap();
    let start = Instant::now();
    let error = refused(medium.open(), ErrorKind::Locked);
    assert!(error.detail().unwrap().contains("sub/cache.redb is open elsewhere"), "{error}");
    refused(medium.open_read_only(), ErrorKind::Locked);
    assert!(start.elapsed() < Duration::from_secs(1));
    drop(database);

    let (one, two) = (medium.open_read_only().unwrap(), medium.open_read_only().unwrap());
    refused(medium.open(), ErrorKind::Locked);
    drop((one, two));
    medium.open().unwrap();
}

#[test]
fn stranger_is_left_as_it_is() {
    let strangers: [&[u8]; 5] =
        [b"x", b"redc", b"some text, longer than a magic number", &[b'x'; 9000], b"redb\x1a\x0a\xa9\x0d\x0b"];
    for stranger in strangers {
        let (root, medium) = holding(stranger);
        let error = refused(medium.open(), ErrorKind::Corrupt);
        assert!(error.detail().unwrap().ends_with("is no database: it is left as it is"), "{error}");
        refused(medium.open_read_only(), ErrorKind::Corrupt);
        assert_eq!(fs::read(&medium.path).unwrap(), stranger);
        assert_eq!(fs::read_dir(root.path().join("sub")).unwrap().count(), 1);
    }
}

#[test]
fn directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let medium = FileMedium::new(root.path(), 0);
    refused(medium.open(), ErrorKind::Invalid);
    refused(medium.open_read_only(), ErrorKind::Invalid);
}

#[test]
fn empty_file_becomes_a_database_and_half_made_one_too() {
    let mut half = vec![0; 1 << 20];
    half[12..300].fill(3);
    for bytes in [vec![], vec![0; 4], vec![0; 70_000], half] {
        let (root, medium) = holding(&bytes);
        let error = refused(medium.open_read_only(), ErrorKind::Unavailable);
        assert!(error.detail().unwrap().ends_with("is still empty"), "{error}");
        let database = medium.open().unwrap();
        put(&database, 1, b"one");
        assert_eq!(fs::read_dir(root.path().join("sub")).unwrap().count(), 1);
    }
}

#[test]
fn database_that_is_cut_short_is_damaged_whatever_is_left() {
    let whole = a_database();
    for len in (1..600).chain((600..whole.len()).step_by(1531)) {
        let (_root, medium) = holding(&whole[..len]);
        let result = medium.open();
        assert!(matches!(result, Err(Fault::Damaged(_))), "{len}: {result:?}");
        match medium.open_read_only() {
            Err(Fault::Damaged(_)) => {}
            result => drop(refused(result, ErrorKind::Unavailable)),
        }
    }
}

#[test]
fn damaged_database_is_set_aside() {
    let (_root, medium) = holding(b"redb\x1a");
    for generation in [1, 2] {
        fs::write(&medium.path, &MAGIC[..generation]).unwrap();
        assert!(matches!(medium.open(), Err(Fault::Damaged(_))));
        let aside = medium.set_aside().unwrap();
        assert_eq!(aside, format!("{}.damaged", medium.location()));
        assert_eq!(fs::read(aside).unwrap(), &MAGIC[..generation]);
        put(&medium.open().unwrap(), 1, b"one");
    }
}

const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

#[test]
fn only_the_file_that_was_found_damaged_is_set_aside() {
    let (root, medium) = holding(b"redb\x1a");
    assert!(matches!(medium.open(), Err(Fault::Damaged(_))));
    // Somebody else was faster.
    let (other_root, other) = place();
    put(&other.open().unwrap(), 1, b"one");
    fs::rename(&other.path, &medium.path).unwrap();
    drop(other_root);
    medium.set_aside().unwrap_err();
    assert_eq!(fs::read_dir(root.path().join("sub")).unwrap().count(), 1);
    assert_eq!(get(&medium.open().unwrap(), 1).unwrap(), b"one");
}

#[cfg(unix)]
#[test]
fn new_database_is_for_whom_the_damaged_one_was() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    let (_root, medium) = holding(b"redb\x1a");
    let access = || {
        let metadata = fs::metadata(&medium.path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.permissions().mode())
    };
    fs::set_permissions(&medium.path, fs::Permissions::from_mode(0o640)).unwrap();
    // Who is not root keeps what is its own.
    _ = chown(&medium.path, Some(4711), Some(4712));
    let before = access();
    assert!(matches!(medium.open(), Err(Fault::Damaged(_))));
    medium.set_aside().unwrap();
    put(&medium.open().unwrap(), 1, b"one");
    assert_eq!(access(), before);
}

#[test]
fn database_that_is_open_is_not_set_aside() {
    let (_root, medium) = place();
    let database = medium.open().unwrap();
    assert_eq!(medium.set_aside().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    put(&database, 1, b"one");
    drop(database);
    assert_eq!(get(&medium.open().unwrap(), 1).unwrap(), b"one");
}

#[test]
fn damaged_version_is_damage_and_another_version_is_not() {
    let mut bytes = a_database();
    bytes[64] = 2;
    let (_root, medium) = holding(&bytes);
    assert!(matches!(medium.open(), Err(Fault::Damaged(_))));

    for version in [2, 4] {
        for slot in [64, 192] {
            bytes[slot] = version;
            let sum = xxhash_rust::xxh3::xxh3_128(&bytes[slot..slot + 112]).to_le_bytes();
            bytes[slot + 112..slot + 128].copy_from_slice(&sum);
        }
        fs::write(&medium.path, &bytes).unwrap();
        let error = refused(medium.open(), ErrorKind::Unsupported);
        assert!(error.detail().unwrap().contains(&format!("of version {version}")), "{error}");
        refused(medium.open_read_only(), ErrorKind::Unsupported);
        assert_eq!(fs::read(&medium.path).unwrap(), bytes);
    }
}

#[test]
fn reading_makes_nothing_and_wants_a_closed_database() {
    let (root, medium) = place();
    let error = refused(medium.open_read_only(), ErrorKind::Unavailable);
    assert!(error.detail().unwrap().ends_with("is not there"), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);

    let database = medium.open().unwrap();
    put(&database, 1, b"one");
    let unclosed = fs::read(&medium.path).unwrap();
    drop(database);
    assert_eq!(get(&medium.open_read_only().unwrap(), 1).unwrap(), b"one");

    fs::write(&medium.path, &unclosed).unwrap();
    let error = refused(medium.open_read_only(), ErrorKind::Unavailable);
    assert!(error.detail().unwrap().contains("open it for writing once"), "{error}");
    assert_eq!(fs::read(&medium.path).unwrap(), unclosed);
    drop(medium.open().unwrap());
    assert_eq!(get(&medium.open_read_only().unwrap(), 1).unwrap(), b"one");
}

#[cfg(unix)]
#[test]
fn link_stays_when_its_file_is_set_aside() {
    let (root, medium) = holding(b"redb");
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&medium.path, &link).unwrap();
    let linked = FileMedium::new(&link, 1 << 20);
    assert!(matches!(linked.open(), Err(Fault::Damaged(_))));
    assert!(linked.set_aside().unwrap().ends_with("sub/cache.redb.damaged"));
    put(&linked.open().unwrap(), 1, b"one");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(get(&medium.open().unwrap(), 1).unwrap(), b"one");
}

#[test]
fn faults_of_the_file_system_are_told() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let medium = FileMedium::new(&root.path().join("file/cache.redb"), 0);
    match medium.open() {
        Err(Fault::Failed(error)) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.detail().unwrap().contains("file/cache.redb"), "{error}");
        }
        result => panic!("{result:?}"),
    }
}
