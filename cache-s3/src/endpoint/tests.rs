use std::time::Duration;

use crate::StoreOptions;

use super::{check, parse, settings};

#[test]
fn endpoints_that_may_be_used_are_told_from_others() {
    for (endpoint, allow_http) in [
        ("https://s3.example.org", false),
        (" https://[::1]:9000/s3/ ", false),
        ("http://127.0.0.1:9000", true),
    ] {
        parse(endpoint, allow_http).unwrap();
    }
    for (endpoint, said) in [
        ("", "not a URL"),
        ("s3.example.org", "not a URL"),
        ("localhost:9000", "neither"),
        ("ftp://s3.example.org", "neither"),
        ("http://s3.example.org", "allow_http"),
        ("https://key:canary@s3.example.org", "has a user"),
        ("https://s3.example.org/?token=canary", "more than"),
        ("https://s3.example.org/#canary", "more than"),
    ] {
        let error = parse(endpoint, false).unwrap_err().to_line();
        assert!(error.contains("endpoint:") && error.contains(said) && !error.contains("canary"), "{error}");
    }
}

#[test]
fn ranges_are_checked() {
    let second = Duration::from_secs(1);
    check(second, 100, &StoreOptions::default()).unwrap();
    check(Duration::from_micros(999), 0, &StoreOptions::default()).unwrap_err();
    check(second, 101, &StoreOptions::default()).unwrap_err();
    check(second, 0, &StoreOptions::default().with_prefix("/")).unwrap_err();
}

#[test]
fn an_attempt_leaves_time_for_others() {
    let store = StoreOptions::default().with_timeout(Duration::from_secs(9));
    let idle = |retries| settings(Duration::from_secs(1), retries, &store, true).idle.as_secs_f64();
    assert_eq!((idle(0), idle(1), idle(2), idle(100)), (9.0, 4.5, 3.0, 3.0));
}
