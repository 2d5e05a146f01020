use super::*;
use crate::{
    stage::PutLimits,
    stub::{BlobValue, Stub},
    toy::{Toy, in_hand, key, payload, value_of},
};

#[test]
fn an_inline_blob_is_a_sealed_one() {
    for len in [0, 1, 65_536, 65_537, INLINE_MAX] {
        let bytes = payload(len);
        let blob = PreparedBlob::inline(&key(), BlobName::DATA, bytes.clone());
        let value = value_of(&blob);
        assert!(value == Envelope::seal(&key(), &BlobName::DATA, &bytes), "{len} bytes");
        assert_eq!((blob.bytes, blob.in_hand(), blob.id()), (len as u64, len as u64, None));
        assert_eq!(BlobValue::of(&value).unwrap(), BlobValue::Sealed);
    }
}

#[test]
fn the_largest_inline_blob_takes_less_than_a_chunk() {
    let blob = PreparedBlob::inline(&key(), BlobName::DATA, payload(INLINE_MAX));
    assert!(value_of(&blob).len() < crate::chunks::CHUNK);
}

#[tokio::test]
async fn a_chunked_blob_is_a_stub() {
    let toy = Toy::new();
    let len = INLINE_MAX + 1;
    let blobs =
        toy.prepare(vec![("data", in_hand(payload(len)))], PutLimits::default()).await.unwrap().unwrap();
    let value = value_of(&blobs[0]);
    let stub = Stub::decode(&value).unwrap();
    assert_eq!((blobs[0].id(), blobs[0].in_hand()), (Some(stub.id), len as u64));
    assert_eq!((stub.payload_len, blobs[0].bytes), (len as u64, len as u64));
}

#[test]
fn an_upload_is_discarded_only_if_there_may_be_something() {
    let toy = Toy::new();
    let queue: Arc<dyn StageQueue> = toy.clone();
    drop(Upload::begin(&queue));
    assert!(toy.discarded.lock().unwrap().is_empty());
    let upload = Upload::begin(&queue);
    let id = upload.id();
    upload.arm();
    drop(upload);
    assert_eq!(*toy.discarded.lock().unwrap(), [id]);
    let kept = Upload::begin(&queue);
    kept.arm();
    kept.keep();
    drop(kept);
    assert_eq!(*toy.discarded.lock().unwrap(), [id]);
}

#[test]
fn an_upload_keeps_no_store_alive() {
    let toy = Toy::new();
    let queue: Arc<dyn StageQueue> = toy.clone();
    let upload = Upload::begin(&queue);
    upload.arm();
    let gone = Arc::downgrade(&toy);
    drop((queue, toy));
    assert!(gone.upgrade().is_none());
    drop(upload);
}
