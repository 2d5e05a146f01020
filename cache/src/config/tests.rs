use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::*;

fn at(path: &[u8]) -> Config {
    let mut tier = TierConfig::new("disk");
    tier.path = Some(OsStr::from_bytes(path).into());
    Config::new([tier])
}

#[test]
fn what_is_secret_differs_and_is_not_told() {
    let with = |key: Option<&str>| {
        let mut tier = TierConfig::new("s3");
        tier.secret_access_key = key.map(Into::into);
        Config::new([tier])
    };
    let difference = |one: &Config, other: &Config| one.difference(other);
    let told = difference(&with(Some("one")), &with(Some("other"))).unwrap();
    assert_eq!(told, "secret_access_key of tier 1 is another now");
    let told = difference(&with(None), &with(Some("other"))).unwrap();
    assert_eq!(told, "secret_access_key of tier 1 was absent, and is … now");
    assert_eq!(difference(&with(Some("one")), &with(Some("one"))), None);
}

#[test]
fn a_bucket_is_the_same_wherever_it_is_said_to_be_and_another_on_another_server() {
    let same = |one: &str, other: &str| {
        let tier = |url: &str| url.parse::<TierConfig>().unwrap();
        tier(one).is_at(&tier(other))
    };
    assert!(same("s3://b/x", "s3://b/x/?region=y&owned=true"));
    assert!(same("s3://b?endpoint=https://h", "s3://b?endpoint=https://H:443/"));
    for other in
        ["s3://b", "s3://b/x/y", "s3://c/x", "gs://b/x", "az://b/x?account=a", "s3://b/x?endpoint=https://h"]
    {
        assert!(!same("s3://b/x", other), "{other}");
    }
    assert!(!same("az://b/x?account=one", "az://b/x?account=other"));
    assert!(!same("memory:", "memory:") && same("disk:/x", "disk:/x"));
}

#[test]
fn paths_differ_where_their_bytes_do_and_not_in_how_they_are_written() {
    let difference = |one: &[u8], other: &[u8]| at(one).difference(&at(other));
    let told = difference(b"/\xfe", b"/\xff").unwrap();
    assert_eq!(told, r#"path of tier 1 was "/\xFE", and is "/\xFF" now"#);
    assert_eq!(difference(b"/a/b", b"/a//b/"), None);
}
