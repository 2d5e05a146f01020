use axum::http::HeaderValue;

use super::*;

#[track_caller]
fn check(header: &str, admitted: bool) {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
    assert_eq!(Token::new("s3cret").unwrap().admits(&headers), admitted, "{header:?}");
}

#[test]
fn token_in_either_scheme_is_admitted() {
    check("Bearer s3cret", true);
    check("bearer   s3cret ", true);
    check("Basic dXNlcjpzM2NyZXQ=", true); // user:s3cret
    check("Basic dXNlcjpzM2NyZXQ", true);
    check("basic OnMzY3JldA==", true); // :s3cret
}

#[test]
fn anything_else_is_refused() {
    check("", false);
    check("s3cret", false);
    check("Bearer", false);
    check("Bearer ", false);
    check("Bearer s3cre", false);
    check("Bearer s3crett", false);
    check("Basic s3cret", false);
    check("Basic ???", false);
    check("Basic czNjcmV0", false); // s3cret, no colon
    check("Basic czNjcmV0Og==", false); // s3cret: as the user
    check("Digest s3cret", false);
    assert!(!Token::new("s3cret").unwrap().admits(&HeaderMap::new()));
}

#[test]
fn token_that_no_header_can_carry_is_invalid_and_not_repeated() {
    for text in ["", " ", "two words", "line\nfeed", "nul\0", "tab\t", "naïve", "\u{7f}"] {
        let error = Token::new(text).unwrap_err();
        assert_eq!(error.kind(), cache::ErrorKind::Invalid);
        assert!(text.trim().is_empty() || !error.to_string().contains(text));
    }
}
