use super::*;

fn header(ends: Ends) -> Header {
    Header { algorithm: Algorithm::Zstd, ends }
}

fn told() -> Told {
    Told { len: 7, checksum: Checksum::of(b"content") }
}

#[test]
fn header_is_read_back() {
    for ends in [Ends::Closed(told()), Ends::Open([7; 16])] {
        for algorithm in [Algorithm::Stored, Algorithm::Zstd] {
            let header = Header { algorithm, ends };
            assert_eq!(Header::read(&header.to_bytes()).unwrap(), Some(header));
        }
    }
}

#[test]
fn bytes_are_alike_a_frame_with_five_bytes_of_the_magic() {
    #[track_caller]
    fn check(start: &[u8], expected: bool) {
        assert_eq!(is_alike(start), expected, "{start:x?}");
        assert!(!matches!(Header::read(start), Ok(Some(_))));
        assert_eq!(Header::read(start).is_err(), expected);
    }
    check(b"", false);
    check(b"\x9e", true);
    check(b"\x9eCZBLOB", true);
    check(b"\x9eCZBLOB\x1a", true);
    check(b"\x9eCZBLOB\x1a and more", true);
    check(b"\x9eCZB", true);
    check(b"CZB", false);
    check(b"\x9eCZ0000\x1a", false);
    check(b"\x9eCZ000B\x1a", true);
    check(b"0000LOB\x1a and more", false);
}

#[test]
fn header_of_a_newer_version_is_refused_by_name() {
    #[track_caller]
    fn check(at: usize, value: u8, expected: &str) {
        let mut bytes = header(Ends::Closed(told())).to_bytes();
        bytes[at] = value;
        let error = Header::read(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "a header whose hash is another's");
        let sum = xxh3_64(&bytes[..40]).to_le_bytes();
        bytes[40..].copy_from_slice(&sum);
        let error = Header::read(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(expected), "{error}");
    }
    check(8, 2, "version 2");
    check(9, 1, "version 257");
    check(10, 9, "algorithm 9");
    check(12, 2, "flags 0x2");
}

#[test]
fn footer_tells_nothing_of_another_frame() {
    let (one, other) = (header(Ends::Open([1; 16])), header(Ends::Open([2; 16])));
    let footer = one.footer(told());
    assert_eq!(one.read_footer(&footer), Some(told()));
    assert_eq!(other.read_footer(&footer), None);
    assert_eq!(one.read_footer(&footer[1..]), None);
    assert_eq!(one.read_footer(&[&footer, b"x".as_slice()].concat()), None);
    for at in 0..FOOTER_BYTES {
        let mut damaged = footer;
        damaged[at] ^= 1;
        assert_eq!(one.read_footer(&damaged), None, "byte {at}");
    }
}

#[test]
fn chunk_fits_only_its_number_lengths_and_bytes() {
    let head = ChunkHead::of(3, 10, b"packed").unwrap();
    assert_eq!(ChunkHead::read(&head.to_bytes()), Some(head));
    assert!(head.fits(3, b"packed"));
    assert!(!head.fits(4, b"packed"));
    assert!(!head.fits(3, b"Packed"));
    assert!(!head.fits(3, b"packe"));
    assert!(!ChunkHead { len: 11, ..head }.fits(3, b"packed"));
}
