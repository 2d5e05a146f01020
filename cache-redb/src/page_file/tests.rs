use std::io::{Seek, SeekFrom, Write};

use super::*;

fn page_file(at_once: fn(&File, u64, &mut [u8]) -> AtOnce) -> PageFile {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    PageFile { at_once, ..PageFile::new(file, Arc::new(Coldness::new())).unwrap() }
}

#[track_caller]
fn check(file: &PageFile, offset: u64, expected: &[u8]) {
    let mut into = vec![0; expected.len()];
    file.read(offset, &mut into).unwrap();
    assert_eq!(into, expected);
}

#[test]
fn read_that_is_answered_at_once_is_warm() {
    let file = page_file(|_, offset, into| {
        into.copy_from_slice(&b"abcdefghij"[usize::try_from(offset).unwrap()..][..into.len()]);
        AtOnce::Read(into.len())
    });
    check(&file, 2, b"cde");
    assert!(!file.cold.is_cold());
}

#[test]
fn part_that_is_missing_is_waited_for() {
    let file = page_file(|_, _, into| {
        into[..2].copy_from_slice(b"ab");
        AtOnce::Read(2)
    });
    check(&file, 2, b"ab456");
    assert!(file.cold.is_cold());

    let file = page_file(|_, _, _| AtOnce::Read(0));
    check(&file, 2, b"234");
    assert!(file.cold.is_cold());
}

#[test]
fn read_that_cannot_tell_is_never_cold() {
    let unknown = page_file(|_, _, _| AtOnce::Unknown);
    check(&unknown, 0, b"0123");
    assert!(!unknown.cold.is_cold() && unknown.tries.load(Ordering::Relaxed));

    let unsupported = page_file(|_, _, _| AtOnce::Unsupported);
    check(&unsupported, 0, b"0123");
    assert!(!unsupported.cold.is_cold() && !unsupported.tries.load(Ordering::Relaxed));
    check(&unsupported, 1, b"1234");
}

#[test]
fn read_beyond_the_end_is_that_whatever_the_system_says() {
    let file = page_file(read_at_once);
    for offset in [8, 10, 1 << 40, i64::MAX as u64, u64::MAX - 4, u64::MAX] {
        let error = file.read(offset, &mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{offset}: {error:?}");
    }
    check(&file, 6, b"6789");
}

#[test]
fn written_bytes_are_read() {
    let file = page_file(read_at_once);
    file.set_len(1 << 20).unwrap();
    file.write(4096, b"page").unwrap();
    check(&file, 4095, b"\0page\0");
    assert_eq!(file.len().unwrap(), 1 << 20);
    assert!(!file.cold.is_cold());
}

#[test]
fn two_of_one_file_exclude_each_other() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let open = || PageFile::new(named.reopen().unwrap(), Arc::new(Coldness::new())).unwrap();
    let create = |file| redb::Builder::new().create_with_backend(file);
    let first = create(open()).unwrap();
    assert!(matches!(create(open()), Err(DatabaseError::DatabaseAlreadyOpen)));
    drop(first);
    create(open()).unwrap();
}
