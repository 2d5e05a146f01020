use std::time::Duration;

use cache_core::ErrorKind;
use cache_s3_server::{Answer, Fault, Operation, Raw, Server, ServerOptions, When};
use http::StatusCode;
use object_store::{ObjectStoreExt, multipart::MultipartStore, path::Path};

use super::Gcs;
use crate::{GcsOptions, StoreOptions, failure::Absence, failure::absence, provider::Provider};

fn options(endpoint: String) -> GcsOptions {
    GcsOptions::new("bucket")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_anonymous(true)
        .with_store(StoreOptions::default().with_prefix("p").with_timeout(Duration::from_secs(3)))
}

fn server() -> Server {
    Server::start(ServerOptions::new().with_bucket("bucket").with_dialect(|dialect| dialect.gcs = true))
        .unwrap()
}

#[tokio::test]
async fn a_bucket_is_told_from_a_missing_one_and_from_no_gcs() {
    let server = server();
    let gcs = Gcs::new(options(server.endpoint())).unwrap();
    gcs.check().await.unwrap();
    assert_eq!(gcs.location("p"), format!("{}/bucket/p", server.endpoint()));
    server.contents().remove_bucket("bucket");
    let error = gcs.check().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, "open"));
    assert!(error.to_line().contains("no bucket `bucket`"), "{}", error.to_line());
    server.fail(Fault::access_denied(), When::nth(1));
    assert_eq!(gcs.check().await.unwrap_err().kind(), ErrorKind::Denied);

    for answer in [
        Answer::captive_portal(),
        Answer::http("404 Not Found", "", "no page"),
        Answer::redirect("http://127.0.0.1:1/"),
    ] {
        let portal = Raw::start(answer).unwrap();
        let error = Gcs::new(options(portal.endpoint())).unwrap().check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.to_line());
    }
}

#[tokio::test]
async fn an_endpoint_is_read_by_all_as_it_is_checked() {
    let server = server();
    for endpoint in
        [server.endpoint().replace("http://", "http:"), server.endpoint().replace("http", " HTTP")]
    {
        let gcs = Gcs::new(options(endpoint)).unwrap();
        gcs.check().await.unwrap();
        assert_eq!(gcs.location("p"), format!("{}/bucket/p", server.endpoint()));
    }
}

#[tokio::test]
async fn an_object_that_is_missing_is_told_from_a_bucket() {
    let server = server();
    let objects = Gcs::new(options(server.endpoint())).unwrap().connect().unwrap().objects;
    let path = Path::from("x");
    assert_eq!(absence(&objects.get(&path).await.unwrap_err()), Some(Absence::Object));
    server.contents().remove_bucket("bucket");
    assert_eq!(absence(&objects.get(&path).await.unwrap_err()), Some(Absence::Bucket));
}

#[tokio::test]
async fn uploads_are_listed_and_aborted_where_there_are_any() {
    let server = server();
    let gcs = Gcs::new(options(server.endpoint())).unwrap();
    gcs.connected().unwrap().create_multipart(&Path::from("p/x")).await.unwrap();
    let uploads = gcs.uploads("p/").await.unwrap();
    let [upload] = &uploads[..] else { panic!("{uploads:?}") };
    gcs.abort(upload).await.unwrap();
    assert!(server.contents().uploads("bucket").is_empty());
    let not_implemented = Fault::Refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    server.fail(not_implemented, When::always().of(Operation::ListMultipartUploads));
    assert!(gcs.uploads("p/").await.unwrap().is_empty());
}

#[test]
fn options_are_checked() {
    let base = || GcsOptions::new("bucket");
    assert_eq!(Gcs::new(base()).unwrap().location(""), "gs://bucket");
    for options in [
        GcsOptions::new("a/b"),
        base().with_endpoint("http://127.0.0.1"),
        base().with_retries(101),
        base().with_service_account_key("canary").with_service_account_path("/canary"),
    ] {
        assert_eq!(Gcs::new(options).unwrap_err().kind(), ErrorKind::Invalid);
    }
    for key in [
        "canary",
        // Encoded twice: whoever reads it quotes all of it.
        r#""{\"private_key\":\"canary\"}""#,
        r#"{"type":"canary"}"#,
        r#"{"private_key":"canary","private_key_id":"x","client_email":"x"}"#,
    ] {
        let wrong = Gcs::new(base().with_service_account_key(key)).unwrap();
        assert!(!format!("{wrong:?}").contains("canary"));
        let error = wrong.connect().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.to_line().contains("canary") && !format!("{error:?}").contains("canary"), "{error:?}");
    }
}
