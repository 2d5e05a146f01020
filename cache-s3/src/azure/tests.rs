use std::time::Duration;

use cache_core::ErrorKind;
use cache_s3_server::{Answer, Raw};
use object_store::{ObjectStoreExt, path::Path};

use super::{Azure, Key, check_setting};
use crate::{
    AzureOptions, StoreOptions,
    failure::{Absence, absence, from_object_store},
    provider::Provider,
};

fn options(endpoint: String) -> AzureOptions {
    AzureOptions::new("account", "container")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_access_key("Y2FuYXJ5")
        .with_retries(0)
        .with_store(StoreOptions::default().with_timeout(Duration::from_secs(3)))
}

async fn checked(status: &str, headers: &str, body: &str) -> cache_core::Result<()> {
    let server = Raw::start(Answer::http(status, headers, body)).unwrap();
    Azure::new(options(server.endpoint())).unwrap().check().await
}

#[tokio::test]
async fn a_container_is_told_from_a_missing_one_and_from_no_azure() {
    let listing = "\u{feff}<?xml version=\"1.0\"?><EnumerationResults ContainerName=\"container\"><Blobs/>\
                   <NextMarker/></EnumerationResults>";
    checked("200 OK", "", listing).await.unwrap();
    let missing = "<?xml version=\"1.0\"?><Error><Code>ContainerNotFound</Code><Message>no</Message></Error>";
    let error = checked("404 Not Found", "", missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_line().contains("no container `container`"), "{}", error.to_line());
    let denied = "<Error><Code>AuthenticationFailed</Code><AuthenticationErrorDetail>canary</AuthenticationErrorDetail></Error>";
    let error = checked("403 Forbidden", "", denied).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!error.to_line().contains("canary"));
    assert_eq!(
        checked("200 OK", "", "<html>log in</html>").await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn what_is_missing_is_told_by_the_header_of_an_answer_without_body() {
    let head = "x-ms-error-code: BlobNotFound\r\n";
    let server = Raw::start(Answer::new(format!("HTTP/1.1 404 Not Found\r\n{head}\r\n"))).unwrap();
    let objects = Azure::new(options(server.endpoint())).unwrap().connect().unwrap().objects;
    let error = objects.head(&Path::from("x")).await.unwrap_err();
    assert_eq!(absence(&error), Some(Absence::Object));
    assert!(!format!("{:?}", from_object_store(error)).contains("127.0.0.1"));
}

#[tokio::test]
async fn a_signature_in_urls_is_in_no_error() {
    let mut plain = options(String::new());
    plain.access_key = None;
    for answer in [Answer::http("400 Bad Request", "", "no"), Answer::silence(), Answer::new("odd\r\n\r\n")] {
        let server = Raw::start(answer).unwrap();
        let options = plain.clone().with_sas("sv=2025&sig=canary").with_endpoint(server.endpoint());
        let azure = Azure::new(options).unwrap();
        let error = azure.check().await.unwrap_err();
        for text in [error.to_line(), format!("{error:?}"), format!("{azure:?}"), azure.location("p")] {
            assert!(!text.contains("canary"), "{text}");
        }
    }
}

#[test]
fn options_are_checked() {
    let base = || AzureOptions::new("account", "container");
    for options in [
        AzureOptions::new("a/b", "container"),
        AzureOptions::new("account", "c?d"),
        base().with_endpoint("http://127.0.0.1"),
        base().with_access_key("a").with_sas("b"),
        base().with_connect_timeout(Duration::ZERO),
    ] {
        assert_eq!(Azure::new(options).unwrap_err().kind(), ErrorKind::Invalid);
    }
    let emulator = Azure::new(base().with_emulator(true)).unwrap();
    assert!(emulator.connect().unwrap().pages.is_none() && !emulator.renews());
    let wrong = Azure::new(base().with_access_key("canary!")).unwrap().connect().unwrap_err();
    assert!(!wrong.to_line().contains("canary"), "{}", wrong.to_line());
}

#[test]
fn settings_by_which_nobody_can_be_asked_are_named() {
    for (key, value) in [
        (Key::AuthorityHost, "login canary"),
        (Key::AuthorityHost, "login.example.org"),
        (Key::MsiEndpoint, "/canary"),
        (Key::Token, "canary\n"),
    ] {
        let error = check_setting(key, value).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_line().contains(key.as_ref()) && !error.to_line().contains("canary"), "{error}");
    }
    check_setting(Key::MsiEndpoint, "http://169.254.169.254/metadata/identity/oauth2/token").unwrap();
    check_setting(Key::ClientId, "canary").unwrap();
}
