use super::*;

#[test]
fn odd_prefix_bounds_its_digests() {
    let prefix: DigestPrefix = "abc".parse().unwrap();
    assert_eq!(prefix.len(), 3);
    assert_eq!(prefix.to_string(), "abc");
    assert!(prefix.first().to_string().starts_with("abc000"));
    assert!(prefix.last().to_string().starts_with("abcfff"));
    assert!(prefix.matches(&prefix.first()) && prefix.matches(&prefix.last()));
    assert!(!prefix.matches(&"abd0".parse::<DigestPrefix>().unwrap().first()));
}

#[test]
fn every_cut_of_a_digest_round_trips() {
    let digest = Digest::of("x");
    for digits in 1..=64 {
        let prefix = digest.prefix(digits);
        assert_eq!(prefix.to_string().parse::<DigestPrefix>().unwrap(), prefix);
        assert!(prefix.matches(&digest) && prefix.first() <= digest && digest <= prefix.last());
    }
    assert_eq!(digest.prefix(64).as_digest(), Some(digest));
    assert_eq!(digest.prefix(63).as_digest(), None);
}

#[test]
fn malformed_prefixes_are_refused() {
    for text in ["", "xyz", "AB", "0x12", "a b", &"0".repeat(65), "é"] {
        assert!(text.parse::<DigestPrefix>().is_err(), "{text:?}");
    }
}
