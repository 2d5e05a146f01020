use std::{error::Error as StdError, fmt, io, time::Duration};

use cache_core::{Digest, ErrorKind, Key, Namespace};

use super::{
    Absence, Failure, absence,
    answer::{element, shorten},
    from_object_store, is_expired, is_unsupported,
};

/// What object_store wraps, as far as others see it.
#[derive(Debug)]
struct Said(String, Option<Box<Said>>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref().map(|said| said as _)
    }
}

fn refused(status: &str, body: &str) -> Box<Said> {
    let inner = format!("Server returned non-2xx status code: {status}: {body}");
    let outer = format!("Error performing GET http://127.0.0.1/b/canary in 1ms - {inner}");
    Box::new(Said(outer, Some(Box::new(Said(inner, None)))))
}

fn generic(status: &str, body: &str) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: refused(status, body) }
}

fn not_found(body: &str) -> object_store::Error {
    object_store::Error::NotFound { path: "x".to_owned(), source: refused("404 Not Found", body) }
}

fn coded(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said so</Message></Error>")
}

#[test]
fn only_an_answer_of_the_service_makes_an_object_absent() {
    for (body, expected) in [
        (coded("NoSuchKey"), Absence::Object),
        (coded("BlobNotFound"), Absence::Object),
        (coded("NoSuchBucket"), Absence::Bucket),
        (coded("ContainerNotFound"), Absence::Bucket),
        (coded("NoSuchUpload"), Absence::Unclear),
        (String::new(), Absence::Unclear),
        ("<html><title>404 Not Found</title></html>".to_owned(), Absence::Unclear),
    ] {
        assert_eq!(absence(&not_found(&body)), Some(expected), "{body}");
        assert_eq!(absence(&generic("404 Not Found", &body)), Some(expected), "{body}");
    }
    // A store that speaks no HTTP.
    let gone = io::Error::from(io::ErrorKind::NotFound);
    let elsewhere = object_store::Error::NotFound { path: "x".to_owned(), source: Box::new(gone) };
    assert_eq!(absence(&elsewhere), Some(Absence::Object));
    assert_eq!(absence(&generic("403 Forbidden", &coded("NoSuchKey"))), None);
    assert_eq!(
        absence(&object_store::Error::NotImplemented {
            operation: String::new(),
            implementer: String::new()
        }),
        None
    );
}

#[test]
fn answers_have_the_kinds_that_tell_what_to_do() {
    for (status, code, expected) in [
        ("403 Forbidden", "AccessDenied", ErrorKind::Denied),
        ("403 Forbidden", "SignatureDoesNotMatch", ErrorKind::Denied),
        ("401 Unauthorized", "", ErrorKind::Denied),
        ("400 Bad Request", "ExpiredToken", ErrorKind::Denied),
        ("400 Bad Request", "AuthorizationHeaderMalformed", ErrorKind::Invalid),
        ("400 Bad Request", "RequestTimeout", ErrorKind::Timeout),
        ("400 Bad Request", "EntityTooLarge", ErrorKind::TooLarge),
        ("400 Bad Request", "", ErrorKind::Unavailable),
        ("404 Not Found", "NoSuchBucket", ErrorKind::Unavailable),
        ("409 Conflict", "OperationAborted", ErrorKind::Unavailable),
        ("413 Payload Too Large", "", ErrorKind::TooLarge),
        ("429 Too Many Requests", "", ErrorKind::Unavailable),
        ("500 Internal Server Error", "InternalError", ErrorKind::Unavailable),
        ("501 Not Implemented", "NotImplemented", ErrorKind::Unsupported),
        ("503 Service Unavailable", "SlowDown", ErrorKind::Unavailable),
        ("504 Gateway Timeout", "", ErrorKind::Timeout),
        ("507 Insufficient Storage", "", ErrorKind::NoSpace),
        ("301 Moved Permanently", "", ErrorKind::Unavailable),
        ("999 <unknown status code>", "", ErrorKind::Unavailable),
    ] {
        let body = if code.is_empty() { String::new() } else { coded(code) };
        let error = from_object_store(generic(status, &body));
        assert_eq!(error.kind(), expected, "{status} {code}");
        assert!(error.to_line().contains(code));
    }
}

#[test]
fn the_failure_of_one_deletion_among_many_has_its_own_kind() {
    let failed = |code: &str| {
        let text = format!("DeleteObjects request failed for key a/b: c: not for you (code: {code})");
        object_store::Error::Generic { store: "S3", source: Box::new(Said(text, None)) }
    };
    let error = from_object_store(failed("AccessDenied"));
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.to_string(), "access denied: the server answered AccessDenied: c: not for you");
    assert_eq!(from_object_store(failed("InternalError")).kind(), ErrorKind::Unavailable);
    assert_eq!(absence(&failed("NoSuchKey")), None);
}

#[test]
fn an_answer_of_the_machine_is_told_from_one_of_the_service() {
    let inner = "Server returned non-2xx status code: 404 Not Found: ";
    let outer = format!("Error performing GET http://169.254.169.254/latest/x in 1ms - {inner}");
    let source = Box::new(Said(outer, Some(Box::new(Said(inner.to_owned(), None)))));
    let error = from_object_store(object_store::Error::Generic { store: "S3", source });
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_line().contains("no credentials"), "{}", error.to_line());
}

#[test]
fn causes_that_are_no_answers_have_their_kinds_too() {
    let io = |kind: io::ErrorKind| object_store::Error::Generic {
        store: "x",
        source: Box::new(io::Error::from(kind)),
    };
    let own = |wrap: fn(String, Box<dyn StdError + Send + Sync>) -> object_store::Error| {
        wrap("x".to_owned(), "because".into())
    };
    for (error, expected) in [
        (io(io::ErrorKind::StorageFull), ErrorKind::NoSpace),
        (io(io::ErrorKind::PermissionDenied), ErrorKind::Denied),
        (io(io::ErrorKind::ConnectionReset), ErrorKind::Unavailable),
        (own(|path, source| object_store::Error::PermissionDenied { path, source }), ErrorKind::Denied),
        (own(|path, source| object_store::Error::Unauthenticated { path, source }), ErrorKind::Denied),
        (own(|_, source| object_store::Error::NotSupported { source }), ErrorKind::Unsupported),
        (own(|_, source| object_store::Error::Generic { store: "x", source }), ErrorKind::Unavailable),
    ] {
        let text = error.to_string();
        assert_eq!(from_object_store(error).kind(), expected, "{text}");
    }
}

#[test]
fn expired_credentials_are_told_from_wrong_ones() {
    for (status, code, expected) in [
        ("400 Bad Request", "ExpiredToken", true),
        ("403 Forbidden", "ExpiredToken", true),
        ("403 Forbidden", "InvalidAccessKeyId", true),
        ("400 Bad Request", "TokenRefreshRequired", true),
        ("401 Unauthorized", "", true),
        ("403 Forbidden", "AccessDenied", false),
        ("403 Forbidden", "SignatureDoesNotMatch", false),
        ("503 Service Unavailable", "ExpiredToken", false),
    ] {
        assert_eq!(is_expired(&generic(status, &coded(code))), expected, "{status} {code}");
    }
}

#[test]
fn what_a_server_cannot_do_is_told() {
    assert!(is_unsupported(&generic("501 Not Implemented", "")));
    assert!(is_unsupported(&generic("400 Bad Request", &coded("NotImplemented"))));
    assert!(is_unsupported(&object_store::Error::NotSupported { source: "x".into() }));
    assert!(!is_unsupported(&generic("500 Internal Server Error", &coded("InternalError"))));
}

#[test]
fn errors_say_nothing_twice_and_no_url() {
    let key = Key::new(Namespace::root(), Digest::of(b"x"));
    let failure = Failure::new("get", generic("503 Service Unavailable", &coded("SlowDown")));
    assert!(!format!("{failure:?}").contains("canary"));
    let error = failure.into_error(Some(&key));
    assert_eq!((error.store(), error.operation(), error.key()), ("s3", "get", Some(&key)));
    let line = error.to_line();
    assert_eq!(line.matches("SlowDown").count(), 1, "{line}");
    assert!(line.contains("the server answered 503 SlowDown: said so") && !line.contains("canary"), "{line}");

    let source = Box::new(io::Error::from(io::ErrorKind::ConnectionReset));
    let error = Failure::new("get", object_store::Error::Generic { store: "x", source }).into_error(None);
    let line = error.to_line();
    assert_eq!(line.matches("connection reset").count(), 1, "{line}");
    assert!(error.source().is_some());

    let error = Failure::late("get", Duration::from_secs(3)).into_error(None);
    assert_eq!(error.to_string(), "s3: get: deadline exceeded: no answer in 3s");
    assert_eq!(Failure::no_runtime("get").into_error(None).kind(), ErrorKind::Unsupported);
}

#[test]
fn what_others_say_is_one_short_line() {
    assert_eq!(shorten(" a\n\tb\u{1b}[31m  c "), "a b [31m c");
    let long = shorten(&"ä".repeat(1000));
    assert_eq!(long.chars().count(), 301);
    assert_eq!(element("<a><Code> x </Code></a>", "Code"), Some("x"));
    assert_eq!(element("<a><Code>x", "Code"), None);
}
