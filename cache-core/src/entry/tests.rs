use super::*;
use crate::{Digest, ErrorKind};

#[test]
fn sealed_blobs_are_opened_verified_and_cut() {
    let (key, other) = (Key::from(Digest::of("k")), Key::from(Digest::of("other")));
    let log = BlobName::new("log").unwrap();
    let sealed = |of: &Key, name: &BlobName| (name.clone(), Envelope::seal(of, name, b"payload").into());
    let open = |blobs, range| EntryRead::open(EntryMeta::of_sealed(key.clone(), Vec::new()), blobs, range);
    assert!(open(Vec::new(), None).unwrap().is_none());
    let mut read = open(vec![sealed(&key, &BlobName::DATA), sealed(&key, &log)], None).unwrap().unwrap();
    assert!(read.has(&BlobName::DATA) && read.take(&log).unwrap().checksum().is_some());
    let range = ByteRange::new(3, Some(5)).unwrap();
    let blob = open(vec![sealed(&key, &log)], Some(range)).unwrap().unwrap().take(&log).unwrap();
    assert_eq!((blob.bytes().unwrap().as_ref(), blob.total_len()), (&b"lo"[..], 7));
    let past = ByteRange::new(8, None).unwrap();
    assert_eq!(open(vec![sealed(&key, &log)], Some(past)).unwrap_err().kind(), ErrorKind::Invalid);
    let strange = vec![sealed(&key, &log), sealed(&other, &BlobName::DATA)];
    assert_eq!(open(strange, None).unwrap_err().kind(), ErrorKind::Corrupt);
}
