use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use cache_core::{Error, ErrorKind};
use cache_s3_server::{Answer, Fault, Operation, Raw, Server, ServerOptions, When};
use http::StatusCode;
use object_store::{
    ObjectStoreExt, PutMultipartOptions,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    multipart::MultipartStore,
    path::Path,
};

use super::{Environment, S3, bucket::check_name};
use crate::{
    S3Options, StoreOptions,
    client::Client,
    failure::{Absence, Failure},
    provider::{Provider, Upload},
};

const TIMEOUT: Duration = Duration::from_secs(3);

fn server() -> Server {
    Server::start(ServerOptions::new().with_bucket("bucket")).unwrap()
}

fn options(endpoint: String) -> S3Options {
    S3Options::new("bucket")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_credentials("AKIDTEST", "SECRETTEST")
        .with_store(StoreOptions::default().with_timeout(TIMEOUT))
}

fn open(server: &Server) -> S3 {
    S3::with(options(server.endpoint()), Environment::default).unwrap()
}

async fn refused(s3: S3) -> Error {
    let error = s3.check().await.unwrap_err();
    assert_eq!((error.store(), error.operation()), ("s3", "open"));
    error
}

async fn answered(answer: Answer) -> Error {
    let server = Raw::start(answer).unwrap();
    refused(S3::with(options(server.endpoint()), Environment::default).unwrap()).await
}

#[tokio::test]
async fn a_bucket_that_is_there_is_found_by_one_request() {
    let server = server();
    open(&server).check().await.unwrap();
    assert_eq!(server.log().counts().into_iter().collect::<Vec<_>>(), [(Operation::ListObjectsV2, 1)]);
    let prefixed = options(server.endpoint()).with_store(StoreOptions::default().with_prefix("a b/c+d"));
    S3::with(prefixed, Environment::default).unwrap().check().await.unwrap();
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_named() {
    let server = Server::start(ServerOptions::new()).unwrap();
    let error = refused(open(&server)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let line = error.to_line();
    assert!(line.contains("`bucket`") && line.contains("auto_create"), "{line}");
}

#[tokio::test]
async fn a_missing_bucket_is_made_on_demand_and_once() {
    let server = Server::start(ServerOptions::new()).unwrap();
    for region in ["us-east-1", "eu-west-1"] {
        server.contents().remove_bucket("bucket");
        let options = options(server.endpoint()).with_auto_create(true).with_region(region);
        S3::with(options.clone(), Environment::default).unwrap().check().await.unwrap();
        assert_eq!(server.contents().buckets(), ["bucket"]);
        server.log().clear();
        S3::with(options, Environment::default).unwrap().check().await.unwrap();
        assert_eq!(server.log().count(Operation::CreateBucket), 0);
    }
}

#[tokio::test]
async fn a_bucket_that_somebody_else_makes_meanwhile_is_fine() {
    let server = server();
    for code in ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"] {
        server.fail(Fault::no_such_bucket(), When::nth(1).of(Operation::ListObjectsV2));
        server.fail(Fault::Refuse(StatusCode::CONFLICT, code), When::nth(1).of(Operation::CreateBucket));
        let options = options(server.endpoint()).with_auto_create(true);
        S3::with(options, Environment::default).unwrap().check().await.unwrap();
    }
}

#[tokio::test]
async fn a_bucket_that_may_not_be_made_is_an_error() {
    let server = Server::start(ServerOptions::new()).unwrap();
    let options = options(server.endpoint()).with_auto_create(true);
    server.fail(Fault::access_denied(), When::always().of(Operation::CreateBucket));
    let error = refused(S3::with(options.clone(), Environment::default).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_line().contains("`bucket` cannot be made"), "{}", error.to_line());
    server.mend();
    server.fail(
        Fault::Refuse(StatusCode::CONFLICT, "BucketAlreadyExists"),
        When::always().of(Operation::CreateBucket),
    );
    let error = refused(S3::with(options, Environment::default).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn access_that_is_denied_is_told() {
    let server = server();
    server.fail(Fault::access_denied(), When::nth(1));
    let error = refused(open(&server)).await;
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_line().contains("AccessDenied"), "{}", error.to_line());
    for (key, secret) in [("AKIDTEST", "wrong"), ("OTHER", "SECRETTEST")] {
        let options = options(server.endpoint()).with_credentials(key, secret);
        assert_eq!(refused(S3::with(options, Environment::default).unwrap()).await.kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_s3_is_told_from_an_empty_bucket() {
    for (answer, said) in [
        (Answer::captive_portal(), "not that of an object store"),
        (Answer::http("200 OK", "", "<ListAllMyBucketsResult/>"), "not that of an object store"),
        (Answer::http("404 Not Found", "", "404 page not found"), "404 page not found"),
        (Answer::http("200 OK", "", ""), "not that of an object store"),
        (Answer::redirect("http://127.0.0.1:1/login"), "elsewhere"),
        (
            Answer::http(
                "301 Moved Permanently",
                "x-amz-bucket-region: eu-west-1\r\n",
                "<Error><Code>PermanentRedirect</Code></Error>",
            ),
            "eu-west-1",
        ),
        (Answer::endless(), "longer"),
        (Answer::http("500 Internal Server Error", "", "oh"), "500"),
        (Answer::new("no HTTP at all\r\n\r\n"), ""),
    ] {
        let error = answered(answer).await;
        let line = error.to_line();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{line}");
        assert!(line.contains(said), "{line}");
    }
    let wrong_region = "<Error><Code>AuthorizationHeaderMalformed</Code>\
                        <Message>expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";
    let error = answered(Answer::http("400 Bad Request", "", wrong_region)).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_line().contains("(region eu-west-1)"), "{}", error.to_line());
}

#[tokio::test]
async fn a_server_that_is_hung_or_gone_is_told_in_time() {
    let begun = Instant::now();
    assert_eq!(answered(Answer::silence()).await.kind(), ErrorKind::Timeout);
    assert!(begun.elapsed() < 2 * TIMEOUT, "{:?}", begun.elapsed());

    let server = server();
    server.crash();
    let error = refused(open(&server)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_line().contains("refused"), "{}", error.to_line());
}

#[tokio::test]
async fn failures_that_pass_are_survived() {
    let server = server();
    for fault in [Fault::slow_down(), Fault::too_many_requests(), Fault::internal_error(), Fault::Drop] {
        server.fail(fault, When::nth(1).times(2));
        open(&server).check().await.unwrap();
    }
    server.fail(Fault::slow_down(), When::always());
    server.log().clear();
    let once = options(server.endpoint()).with_retries(1);
    refused(S3::with(once, Environment::default).unwrap()).await;
    assert_eq!(server.log().len(), 2);
}

#[tokio::test]
async fn uploads_that_nobody_ended_are_listed_and_aborted() {
    let server = server();
    let s3 = open(&server);
    let client = s3.connected().unwrap();
    let (mine, other) = (Path::parse("team/~a/~b%C3%BC!00").unwrap(), Path::parse("other!00").unwrap());
    for path in [&mine, &other] {
        client.s3.create_multipart_opts(path, PutMultipartOptions::default()).await.unwrap();
    }
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    server.contents().set_begun("bucket", begun);
    let uploads = s3.uploads("team/").await.unwrap();
    let [upload] = &uploads[..] else { panic!("{uploads:?}") };
    assert_eq!((upload.object.as_str(), upload.begun), (mine.as_ref(), begun));
    s3.abort(upload).await.unwrap();
    s3.abort(upload).await.unwrap();
    assert_eq!(server.contents().uploads("bucket").len(), 1);
    assert_eq!(s3.uploads("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_lists_no_uploads_has_none() {
    let server = server();
    let not_implemented = Fault::Refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    server.fail(not_implemented, When::always().of(Operation::ListMultipartUploads));
    assert!(open(&server).uploads("").await.unwrap().is_empty());
    assert_eq!(server.log().len(), 1);
    server.mend();
    server.fail(Fault::access_denied(), When::always());
    let error = open(&server).uploads("").await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, "clean"));
    let upload = Upload { object: "x".to_owned(), id: "y".to_owned(), begun: SystemTime::UNIX_EPOCH };
    assert_eq!(open(&server).abort(&upload).await.unwrap_err().kind(), ErrorKind::Denied);
}

/// A bucket whose keys are the environment's, and how often that was read.
fn renewing(server: &Server) -> (S3, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let count = reads.clone();
    let mut options = options(server.endpoint());
    (options.access_key_id, options.secret_access_key) = (None, None);
    let environment = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let variables =
            AmazonS3Builder::new().with_access_key_id("AKIDTEST").with_secret_access_key("SECRETTEST");
        Environment { variables, ..Environment::default() }
    };
    (S3::with(options, environment).unwrap(), reads)
}

#[tokio::test]
async fn credentials_of_the_environment_are_had_anew_when_they_have_expired() {
    let server = server();
    server.contents().put("bucket", "x", "here");
    let (s3, reads) = renewing(&server);
    assert!(s3.renews());
    let reads = || reads.swap(0, Ordering::SeqCst);
    // For the checks, and for the connection.
    let handles = s3.connect().unwrap();
    assert_eq!(reads(), 2);

    server.fail(Fault::expired_token(), When::nth(1));
    s3.check().await.unwrap();
    assert_eq!((reads(), server.log().clear().len()), (1, 2));

    let client = Client::new(Some(Arc::new(s3)), handles, &StoreOptions::default(), "s3://bucket");
    let get = || client.call("get", 0, |handles| async move { handles.objects.get(&Path::from("x")).await });
    server.fail(Fault::expired_token_forbidden(), When::nth(1));
    assert_eq!(get().await.unwrap().meta.size, 4);
    assert_eq!((reads(), server.log().clear().len()), (1, 2));

    server.fail(Fault::expired_token(), When::always());
    assert_eq!(get().await.unwrap_err().into_error(None).kind(), ErrorKind::Denied);
    assert_eq!((reads(), server.log().len()), (0, 1), "not anew so soon");
}

/// What EKS hands out, from a server that is none of AWS.
#[tokio::test]
async fn credentials_of_a_container_are_asked_for() {
    let server = server();
    let keys = r#"{"AccessKeyId":"AKIDTEST","SecretAccessKey":"SECRETTEST","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;
    let agent = Raw::start(Answer::http("200 OK", "Content-Type: application/json\r\n", keys)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "canary").unwrap();
    let (uri, file) = (agent.endpoint(), token.to_str().unwrap().to_owned());
    let environment = move || Environment {
        variables: AmazonS3Builder::new()
            .with_config(AmazonS3ConfigKey::ContainerCredentialsFullUri, &uri)
            .with_config(AmazonS3ConfigKey::ContainerAuthorizationTokenFile, &file),
        ..Environment::default()
    };
    let mut options = options(server.endpoint()).with_retries(0);
    (options.access_key_id, options.secret_access_key) = (None, None);
    let s3 = S3::with(options.clone(), environment.clone()).unwrap();
    s3.check().await.unwrap();
    s3.check().await.unwrap();
    assert_eq!((agent.connections(), server.log().len()), (1, 2), "they are kept until they expire");

    for answer in [Answer::http("403 Forbidden", "", "canary"), Answer::captive_portal(), Answer::endless()] {
        agent.set(answer);
        let error = refused(S3::with(options.clone(), environment.clone()).unwrap()).await;
        assert!([ErrorKind::Unavailable, ErrorKind::Denied].contains(&error.kind()), "{}", error.to_line());
    }
    assert_eq!(server.log().len(), 2);
}

fn asking(server: &Server, settings: &[(AmazonS3ConfigKey, String)]) -> cache_core::Result<S3> {
    let mut options = options(server.endpoint()).with_retries(0);
    (options.access_key_id, options.secret_access_key) = (None, None);
    let variables = settings
        .iter()
        .fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(*key, value));
    S3::with(options, move || Environment { variables: variables.clone(), ..Environment::default() })
}

#[tokio::test]
async fn settings_by_which_nobody_can_be_asked_are_named() {
    use AmazonS3ConfigKey as Key;

    let server = server();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (token, lines) = (file("token", "canary"), file("lines", "canary\n"));
    let identity = [(Key::WebIdentityTokenFile, token.clone()), (Key::RoleArn, "arn:x".to_owned())];
    for (key, value, others) in [
        (Key::ContainerCredentialsFullUri, "/v2/canary", &[][..]),
        (Key::ContainerCredentialsFullUri, "http://a canary", &[]),
        (Key::ContainerCredentialsRelativeUri, "/a canary", &[]),
        (Key::ContainerCredentialsRelativeUri, "@canary.example.org/", &[]),
        (Key::MetadataEndpoint, "127.0.0.1:1", &[]),
        (Key::MetadataEndpoint, "http://canary\u{e9}\n", &[]),
        (Key::StsEndpoint, "canary", &identity),
        (Key::ContainerAuthorizationTokenFile, &lines, &[]),
    ] {
        let mut settings = vec![(key, value.to_owned())];
        settings.extend_from_slice(others);
        let error = asking(&server, &settings).unwrap_err();
        let line = error.to_line();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{line}");
        let name = key.as_ref().to_ascii_uppercase();
        assert!(line.contains(&name) && !line.contains("canary"), "{line}");
    }
    asking(&server, &[(Key::ContainerCredentialsRelativeUri, "/v2/credentials/x".to_owned())]).unwrap();
}

#[tokio::test]
async fn a_machine_that_names_no_role_is_an_error_and_no_panic() {
    let server = server();
    for (said, expected) in
        [("a b", "not that of an object store"), ("a\nb", "object store"), ("", "object store"), ("r\n", "")]
    {
        let machine = Raw::start(Answer::http("200 OK", "", said)).unwrap();
        let s3 = asking(&server, &[(AmazonS3ConfigKey::MetadataEndpoint, machine.endpoint())]).unwrap();
        let error = refused(s3).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.to_line());
        assert!(error.to_line().contains(expected), "{}", error.to_line());
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_asked_of_the_bucket() {
    let server = server();
    let mut options = options(server.endpoint()).with_retries(0);
    (options.access_key_id, options.secret_access_key) = (None, None);
    // Nobody else is given its port.
    let gone = Server::start(ServerOptions::new()).unwrap();
    gone.crash();
    let machine = gone.endpoint();
    let environment = move || Environment {
        variables: AmazonS3Builder::new().with_config(AmazonS3ConfigKey::MetadataEndpoint, &machine),
        ..Environment::default()
    };
    let error = refused(S3::with(options, environment).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.to_line());
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn credentials_of_the_options_are_what_they_are() {
    let server = server();
    let s3 = open(&server);
    assert!(!s3.renews());
    server.fail(Fault::expired_token(), When::always());
    let error = refused(s3).await;
    assert_eq!((error.kind(), server.log().len()), (ErrorKind::Denied, 1));
    assert!(error.to_line().contains("ExpiredToken"), "{}", error.to_line());
}

#[tokio::test]
async fn requests_go_unsigned_if_asked_for() {
    let server = server();
    let options = S3Options::new("bucket").with_endpoint(server.endpoint()).with_allow_http(true);
    let s3 = S3::with(options.with_anonymous(true), Environment::default).unwrap();
    assert!(!s3.renews());
    // This server wants signatures; what counts is that nothing looked for credentials.
    assert_eq!(refused(s3).await.kind(), ErrorKind::Denied);
    assert_eq!(server.log().len(), 1);
}

async fn failure(server: &Server, name: &str) -> Failure {
    let s3 = open(server);
    let handles = s3.connect().unwrap();
    let options = StoreOptions::default().with_timeout(TIMEOUT);
    let client = Client::new(Some(Arc::new(s3)), handles, &options, "s3://bucket");
    let path = Path::from(name);
    client
        .call("get", 0, |handles| {
            let path = path.clone();
            async move { handles.objects.get(&path).await }
        })
        .await
        .unwrap_err()
}

#[tokio::test]
async fn what_is_missing_is_told_by_the_words_of_object_store() {
    let server = server();
    assert_eq!(failure(&server, "x").await.absence(), Some(Absence::Object));
    server.fail(Fault::Answer(StatusCode::NOT_FOUND, "text/html", "<html/>".into()), When::nth(1));
    assert_eq!(failure(&server, "x").await.absence(), Some(Absence::Unclear));
    server.contents().remove_bucket("bucket");
    assert_eq!(failure(&server, "x").await.absence(), Some(Absence::Bucket));
    server.fail(Fault::access_denied(), When::nth(1));
    assert_eq!(failure(&server, "x").await.absence(), None);
}

#[tokio::test]
async fn faults_of_a_get_have_their_kinds_in_time() {
    let server = server();
    server.contents().put("bucket", "x", "here");
    for (fault, expected) in [
        (Fault::slow_down(), ErrorKind::Unavailable),
        (Fault::too_many_requests(), ErrorKind::Unavailable),
        (Fault::internal_error(), ErrorKind::Unavailable),
        (Fault::access_denied(), ErrorKind::Denied),
        (Fault::expired_token_forbidden(), ErrorKind::Denied),
        (Fault::Drop, ErrorKind::Unavailable),
        (Fault::Hang, ErrorKind::Timeout),
        (Fault::Refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented"), ErrorKind::Unsupported),
    ] {
        server.fail(fault.clone(), When::always());
        let begun = Instant::now();
        let error = failure(&server, "x").await.into_error(None);
        assert_eq!(error.kind(), expected, "{fault:?}: {}", error.to_line());
        assert!(begun.elapsed() < 2 * TIMEOUT, "{fault:?}: {:?}", begun.elapsed());
        server.mend();
    }
}

#[test]
fn outside_of_a_runtime_there_is_an_error_and_no_panic() {
    let server = server();
    let s3 = open(&server);
    let error = futures::executor::block_on(s3.check()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn buckets_have_names() {
    for name in ["abc", "a.b-c", "0-9", &"x".repeat(63)] {
        check_name(name, true).unwrap();
    }
    for name in ["Old_Bucket", "x", &"x".repeat(255)] {
        check_name(name, true).unwrap_err();
        check_name(name, false).unwrap();
    }
    for name in ["", "a/b", "a..b", "-ab", "ab-", "a b", "ü", "a?b", &"x".repeat(256)] {
        assert_eq!(check_name(name, false).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
}

#[test]
fn half_credentials_are_refused_and_not_quoted() {
    let mut half = S3Options::new("bucket");
    half.secret_access_key = Some("canary".into());
    let whole = S3Options::new("bucket").with_credentials("AKID", "canary");
    for options in [
        half,
        S3Options::new("bucket").with_session_token("canary"),
        whole.clone().with_session_token("can ary"),
        whole.clone().with_credentials("AKID", "canary\n"),
        whole.with_anonymous(true),
    ] {
        let error = S3::with(options, Environment::default).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(!error.to_line().contains("can"), "{}", error.to_line());
    }
}

#[test]
fn places_are_urls_without_secrets() {
    let location =
        |options: S3Options| S3::with(options, Environment::default).unwrap().location("team/cache");
    assert_eq!(location(S3Options::new("bucket")), "s3://bucket/team/cache");
    let elsewhere = options("http://127.0.0.1:9000/".to_owned());
    assert_eq!(location(elsewhere), "http://127.0.0.1:9000/bucket/team/cache");
}

#[test]
fn a_directory_bucket_has_no_order() {
    let options = S3Options::new("b--use1-az4--x-s3").with_credentials("AKID", "canary");
    let s3 = S3::with(options, Environment::default).unwrap();
    assert!(s3.connect().unwrap().pages.is_none());
    assert!(
        S3::with(S3Options::new("bucket"), Environment::default).unwrap().connect().unwrap().pages.is_some()
    );
}
