use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use super::*;

fn at(path: &[u8]) -> Config {
    let mut tier = TierConfig::new("disk");
    tier.path = Some(OsStr::from_bytes(path).into());
    Config::new([tier])
}

#[test]
fn paths_differ_where_their_bytes_do_and_not_in_how_they_are_written() {
    let difference = |one: &[u8], other: &[u8]| at(one).difference(&at(other));
    let told = difference(b"/\xfe", b"/\xff").unwrap();
    assert_eq!(told, r#"path of tier 1 was "/\xFE", and is "/\xFF" now"#);
    assert_eq!(difference(b"/a/b", b"/a//b/"), None);
}
