//! Requests fail by number, as the test wants it.

use std::time::{Duration, Instant};

use cache_s3_server::{Fault, Operation, When};
use object_store::{
    ClientOptions, Error, ObjectStoreExt,
    client::{HttpConnector, HttpRequestBody, ReqwestConnector},
    path::Path,
};

use crate::{BUCKET, client, server};

/// The status that a request without a body is answered with.
pub(crate) async fn send(method: &str, url: &str) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).unwrap();
    let request = http::Request::builder().method(method).uri(url).header("content-length", "0");
    client.execute(request.body(HttpRequestBody::empty()).unwrap()).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_nth_request_of_an_operation_is_refused() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("a"));
    server.fail(Fault::slow_down(), When::nth(2).of(Operation::PutObject));
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.push(s3.put(&path, "1".into()).await.is_ok());
        assert!(s3.head(&path).await.is_ok());
    }
    assert_eq!(outcomes, [true, false, true]);
    assert_eq!((server.log().count(Operation::PutObject), server.log().count(Operation::HeadObject)), (3, 3));
    assert_eq!(server.log().clear().len(), 6);
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn all_requests_are_refused_until_it_is_mended() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("a"));
    server.fail(Fault::access_denied(), When::from(2));
    s3.put(&path, "1".into()).await.unwrap();
    for _ in 0..3 {
        let error = s3.get(&path).await.unwrap_err();
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    }
    server.mend();
    s3.get(&path).await.unwrap();
}

#[tokio::test]
async fn a_dropped_request_is_not_carried_out_and_a_lost_reply_is() {
    let server = server();
    let s3 = client(&server.endpoint());
    server.fail(Fault::Drop, When::nth(1));
    server.fail(Fault::LoseReply, When::nth(2));
    assert!(s3.put(&Path::from("dropped"), "1".into()).await.is_err());
    assert!(s3.put(&Path::from("lost"), "1".into()).await.is_err());
    assert_eq!(server.contents().names(BUCKET), ["lost"]);
    s3.put(&Path::from("stored"), "1".into()).await.unwrap();
}

#[tokio::test]
async fn requests_take_long_or_hang() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("a"));
    server.fail(Fault::Delay(Duration::from_millis(100)), When::nth(1));
    let begin = Instant::now();
    s3.put(&path, "1".into()).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(100));
    server.fail(Fault::Hang, When::always());
    let hung = tokio::time::timeout(Duration::from_millis(100), s3.get(&path)).await;
    assert!(hung.is_err());
    server.mend();
    s3.get(&path).await.unwrap();
}

#[tokio::test]
async fn an_answer_can_be_any() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("a"));
    server.fail(Fault::Refuse(http::StatusCode::IM_A_TEAPOT, "Teapot"), When::nth(1));
    assert!(format!("{:?}", s3.put(&path, vec![0; 1 << 20].into()).await.unwrap_err()).contains("Teapot"));
    assert_eq!(server.contents().names(BUCKET), [""; 0]);
    server.fail(Fault::captive_portal(), When::nth(1));
    assert_eq!(send("GET", &format!("{}/{BUCKET}/a", server.endpoint())).await, 200);
}
