//! Whether an entry is there is answered without reading it.

use std::fs;

use cache_core::{ErrorKind, GetOptions, KeyManagement, Store, StoreExt};

use crate::{blob_path, key, open};

#[tokio::test]
async fn contains_reads_no_blob() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (damaged, huge) = (key("damaged"), key("huge"));
    store.put_bytes(&damaged, vec![7; 100_000].into()).await.unwrap();
    store.put_bytes(&huge, "v".into()).await.unwrap();
    let path = blob_path(dir.path(), &damaged);
    let len = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![0; usize::try_from(len).unwrap()]).unwrap();
    // A terabyte, of which all but the first bytes are a hole.
    fs::File::options().write(true).open(blob_path(dir.path(), &huge)).unwrap().set_len(1 << 40).unwrap();
    let used = store.meta(&damaged).await.unwrap().unwrap().last_accessed;
    for key in [&damaged, &huge] {
        assert!(store.contains(key).await.unwrap());
    }
    let metrics = store.metrics();
    assert_eq!((metrics.contains_hits, metrics.hits, metrics.bytes_out, metrics.corrupt), (2, 0, 0, 0));
    assert_eq!(store.meta(&damaged).await.unwrap().unwrap().last_accessed, used);
    // A read does look.
    let read = store.get_entry(&damaged, GetOptions::default()).await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Corrupt);
}
