use super::*;

#[test]
fn text_names_store_operation_and_key_and_leaves_the_cause_to_the_source() {
    let key = Key::new("ops".parse().unwrap(), Digest::of("abc"));
    let cause = io::Error::other("the disk is on fire");
    let error = Error::from_io("disk", "put", cause).with_key(&key);
    assert_eq!(error.to_string(), format!("disk: put: backend unavailable (ops/{})", key.digest));
    assert_eq!(error.source().unwrap().to_string(), "the disk is on fire");
    assert!(error.to_line().ends_with("): the disk is on fire"));
    assert!(error.clone().source().is_some());
}

#[test]
fn io_errors_get_the_kind_that_tells_what_to_do() {
    let kind = |io: io::ErrorKind| Error::from_io("", "", io.into()).kind();
    assert_eq!(kind(io::ErrorKind::StorageFull), ErrorKind::NoSpace);
    assert_eq!(kind(io::ErrorKind::ReadOnlyFilesystem), ErrorKind::Denied);
    assert_eq!(kind(io::ErrorKind::TimedOut), ErrorKind::Timeout);
    assert_eq!(kind(io::ErrorKind::Other), ErrorKind::Unavailable);
}

#[test]
fn ambiguity_names_prefix_candidates_and_needed_digits() {
    let digest = |text: &str| text.parse::<DigestPrefix>().unwrap().first();
    let found = Ambiguity::new("abcd".parse().unwrap(), digest("abcd12"), digest("abcd13"));
    let error = Error::ambiguous("disk", "expand", found);
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert_eq!(error.ambiguity(), Some(found));
    assert!(error.to_string().contains("give at least 6 digits"), "{error}");
}
