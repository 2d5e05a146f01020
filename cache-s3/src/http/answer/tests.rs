use http::{HeaderMap, HeaderValue};

use super::refusal;
use crate::failure::{Absence, Answer};

fn said(body: &str) -> String {
    refusal(&HeaderMap::new(), body.as_bytes())
}

#[test]
fn what_an_answer_quotes_of_the_request_is_left_out() {
    let s3 = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidToken</Code>\
              <Message>The provided token is malformed.</Message><Token-0>canary</Token-0>\
              <StringToSign>canary</StringToSign><Region>eu-west-1</Region></Error>";
    let text = said(s3);
    assert!(!text.contains("canary"), "{text}");
    let answer = Answer::new(400, &text);
    assert_eq!(answer.code.as_deref(), Some("InvalidToken"));
    assert_eq!(answer.message, "The provided token is malformed.");
    assert_eq!(answer.region.as_deref(), Some("eu-west-1"));
}

#[test]
fn answers_without_a_body_have_the_code_of_their_header() {
    let mut headers = HeaderMap::new();
    headers.insert("x-ms-error-code", HeaderValue::from_static("BlobNotFound"));
    assert_eq!(Answer::new(404, &refusal(&headers, b"")).absence(), Absence::Object);
    headers.insert("x-ms-error-code", HeaderValue::from_static("<odd>"));
    assert_eq!(refusal(&headers, b""), "");
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-bucket-region", HeaderValue::from_static("eu-west-1"));
    let moved = refusal(&headers, b"<Error><Code>PermanentRedirect</Code></Error>");
    assert_eq!(Answer::new(301, &moved).region.as_deref(), Some("eu-west-1"));
}

#[test]
fn strangers_are_quoted_little() {
    assert_eq!(said("404 page not found\n"), "404 page not found");
    assert_eq!(said("<html><head><title>Log\nin</title></head><body>canary</body></html>"), "Log in");
    let echo = format!("GET / HTTP/1.1\nAuthorization: canary {}", "x".repeat(100));
    assert!(!said(&echo).contains("canary"));
    assert!(Answer::new(404, &said("<Error><Code>No Such Thing</Code></Error>")).code.is_none());
    assert_eq!(said("\u{0}\u{ffff}"), "\u{ffff}");
}
