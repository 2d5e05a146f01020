//! What tests do behind a client's back.

use std::time::{Duration, UNIX_EPOCH};

use cache_s3_server::{Operation, Server, ServerOptions};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, multipart::MultipartStore, path::Path};

use crate::{BUCKET, client, server};

#[tokio::test]
async fn objects_are_seen_changed_and_removed() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("a/b"));
    let contents = server.contents();
    let put = s3.put(&path, "good".into()).await.unwrap();
    assert_eq!(contents.get(BUCKET, "a/b").unwrap(), "good");
    assert!(contents.damage(BUCKET, "a/b", "bad"));
    let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    assert!(contents.set_modified(BUCKET, "a/b", time));
    let found = s3.get(&path).await.unwrap();
    assert_eq!(found.meta.e_tag, put.e_tag);
    assert_eq!(found.bytes().await.unwrap(), "bad");
    let listed = s3.list(None).try_next().await.unwrap().unwrap();
    assert_eq!(listed.last_modified.timestamp_millis(), 1_700_000_000_123);
    assert_eq!((listed.size, listed.e_tag), (3, put.e_tag));
    assert!(contents.remove(BUCKET, "a/b"));
    assert!(!contents.remove(BUCKET, "a/b"));
    assert!(s3.get(&path).await.is_err());
}

#[tokio::test]
async fn etags_can_be_missing_in_listings() {
    let options =
        ServerOptions::new().with_bucket(BUCKET).with_dialect(|dialect| dialect.lists_without_etag = true);
    let server = Server::start(options).unwrap();
    server.contents().put(BUCKET, "a", "1");
    let listed = client(&server.endpoint()).list(None).try_next().await.unwrap().unwrap();
    assert_eq!(listed.e_tag, None);
}

#[tokio::test]
async fn open_uploads_are_told_and_aged() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("large"));
    let id = s3.create_multipart(&path).await.unwrap();
    s3.put_part(&path, &id, 0, vec![0; 1000].into()).await.unwrap();
    server.contents().set_begun(BUCKET, UNIX_EPOCH);
    let open = server.contents().uploads(BUCKET);
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].object.as_str(), &open[0].id, open[0].bytes), ("large", &id, 1000));
    assert_eq!(open[0].begun, UNIX_EPOCH);
    s3.abort_multipart(&path, &id).await.unwrap();
    assert_eq!(server.contents().uploads(BUCKET), []);
}

#[tokio::test]
async fn names_are_listed_in_the_order_of_their_bytes_by_pages() {
    let server = server();
    let mut names: Vec<_> = (0..2500).map(|n| format!("{:04}", (n * 7919) % 2500)).collect();
    names.extend(["~a!x", "~a-x!y", "~a/b!z", "!0"].map(str::to_owned));
    names.iter().for_each(|name| server.contents().put(BUCKET, name, "1"));
    names.sort();
    let listed = client(&server.endpoint()).list(None).map_ok(|meta| meta.location.to_string());
    assert_eq!(listed.try_collect::<Vec<_>>().await.unwrap(), names);
    assert_eq!(server.log().count(Operation::ListObjectsV2), 3);
}

#[tokio::test]
async fn a_thousand_objects_go_in_one_request() {
    let server = server();
    (0..1500).for_each(|n| server.contents().put(BUCKET, &n.to_string(), "1"));
    let paths = futures::stream::iter((0..1500).map(|n| Ok(Path::from(n.to_string()))));
    let gone: Vec<_> = client(&server.endpoint()).delete_stream(Box::pin(paths)).try_collect().await.unwrap();
    assert_eq!((gone.len(), server.contents().names(BUCKET).len()), (1500, 0));
    assert_eq!(server.log().count(Operation::DeleteObjects), 2);
}
