use std::time::Duration;

use cache_core::ErrorKind;

use super::StoreOptions;

#[track_caller]
fn refused(options: &StoreOptions, field: &str) {
    let error = options.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.detail().is_some_and(|detail| detail.starts_with(field)), "{error}");
}

#[test]
fn options_in_their_ranges_pass() {
    let base = StoreOptions::default;
    for options in [
        base(),
        base().with_prefix("team/cache"),
        base().with_prefix("ü!~%".to_owned() + &"x".repeat(395)),
        base().with_timeout(Duration::from_millis(1)).with_min_bytes_per_second(1),
        base().with_part_bytes(5 << 20).with_concurrent_parts(64),
        base().with_max_bytes(1).with_owned(true),
        base().with_max_bytes(0),
    ] {
        options.check().unwrap();
    }
}

#[test]
fn options_out_of_their_ranges_are_named() {
    let base = StoreOptions::default;
    for prefix in
        ["/", "a/", "/a", "a//b", ".", "a/..", "a\nb", "~a", "a/~b", "a\u{7f}", "a\u{85}", &"x".repeat(401)]
    {
        refused(&base().with_prefix(prefix), "prefix:");
    }
    refused(&base().with_timeout(Duration::from_micros(999)), "timeout:");
    refused(&base().with_min_bytes_per_second(0), "min_bytes_per_second:");
    refused(&base().with_part_bytes((5 << 20) - 1), "part_bytes:");
    refused(&base().with_part_bytes((5 << 30) + 1), "part_bytes:");
    refused(&base().with_concurrent_parts(0), "concurrent_parts:");
    refused(&base().with_concurrent_parts(65), "concurrent_parts:");
    refused(&base().with_max_bytes(1), "max_bytes:");
}
