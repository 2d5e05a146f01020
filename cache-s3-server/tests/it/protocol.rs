//! What object_store asks of every service.

use cache_s3_server::{Operation, Server, ServerOptions};
use object_store::{
    Attribute, Attributes, Error, ObjectStore, ObjectStoreExt, integration, path::Path, signer::Signer,
};

use crate::{BUCKET, builder, client, google, server};

async fn metadata_is_kept(store: &dyn ObjectStore) {
    let path = Path::from("described");
    let mut described = Attributes::new();
    described.insert(Attribute::ContentType, "text/plain".into());
    described.insert(Attribute::Metadata("colour".into()), "blue".into());
    store.put_opts(&path, "1".into(), described.clone().into()).await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().attributes, described);
}

#[tokio::test]
async fn a_client_of_amazon_is_served() {
    let server = server();
    let s3 = client(&server.endpoint());
    integration::put_get_delete_list(&s3).await;
    integration::list_uses_directories_correctly(&s3).await;
    integration::list_with_delimiter(&s3).await;
    integration::list_with_offset_exclusivity(&s3).await;
    integration::list_paginated(&s3, &s3).await;
    integration::rename_and_copy(&s3).await;
    integration::get_opts(&s3).await;
    integration::put_opts(&s3, true).await;
    metadata_is_kept(&s3).await;
}

#[tokio::test]
async fn uploads_in_parts_are_served() {
    let server = server();
    let s3 = client(&server.endpoint());
    integration::stream_get(&s3).await;
    integration::multipart(&s3, &s3).await;
    integration::multipart_with_opts(&s3, &s3).await;
    integration::multipart_put_part_out_of_order(&s3, &s3).await;
    integration::multipart_race_condition(&s3, true).await;
    integration::multipart_out_of_order(&s3).await;
    assert_eq!(server.contents().uploads(BUCKET), []);
}

#[tokio::test]
async fn a_client_of_google_is_served() {
    let options = ServerOptions::new().with_bucket(BUCKET).with_dialect(|dialect| dialect.gcs = true);
    let server = Server::start(options).unwrap();
    let gcs = google(&server.endpoint());
    integration::put_get_delete_list(&gcs).await;
    integration::list_uses_directories_correctly(&gcs).await;
    integration::list_with_delimiter(&gcs).await;
    integration::list_with_offset_exclusivity(&gcs).await;
    integration::list_paginated(&gcs, &gcs).await;
    integration::rename_and_copy(&gcs).await;
    integration::copy_if_not_exists(&gcs).await;
    integration::put_opts(&gcs, true).await;
    metadata_is_kept(&gcs).await;
    integration::multipart(&gcs, &gcs).await;
    integration::multipart_with_opts(&gcs, &gcs).await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let server = server();
    let s3 = builder(&server.endpoint()).with_secret_access_key("WRONG").build().unwrap();
    let error = s3.put(&Path::from("a"), "1".into()).await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    let nobody = builder(&server.endpoint()).with_skip_signature(true).build().unwrap();
    let error = nobody.get(&Path::from("a")).await.unwrap_err();
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    assert_eq!(server.contents().names(BUCKET), [""; 0]);
}

#[tokio::test]
async fn a_missing_bucket_is_told_from_a_missing_object() {
    let server = server();
    let error = client(&server.endpoint()).get(&Path::from("a")).await.unwrap_err();
    assert!(format!("{error:?}").contains("NoSuchKey"), "{error:?}");
    let elsewhere = builder(&server.endpoint()).with_bucket_name("elsewhere").build().unwrap();
    let error = elsewhere.get(&Path::from("a")).await.unwrap_err();
    assert!(format!("{error:?}").contains("NoSuchBucket"), "{error:?}");
    assert!(elsewhere.put(&Path::from("a"), "1".into()).await.is_err());
}

#[tokio::test]
async fn a_bucket_is_made_once() {
    let server = server();
    let s3 = builder(&server.endpoint()).with_bucket_name("other").build().unwrap();
    let root = Path::default();
    for status in [200, 409] {
        let url = s3.signed_url(http::Method::PUT, &root, std::time::Duration::from_secs(60));
        assert_eq!(crate::faults::send("PUT", url.await.unwrap().as_str()).await, status);
    }
    assert_eq!(server.contents().buckets(), [BUCKET, "other"]);
    assert_eq!(server.log().count(Operation::CreateBucket), 2);
}
