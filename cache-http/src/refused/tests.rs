use super::*;

#[track_caller]
fn check(kind: ErrorKind, status: u16) {
    let error = Error::new(kind, "disk", "put").with_source(std::io::Error::other("/secret/path"));
    let refused = Refused::from(error);
    assert_eq!(refused.status.as_u16(), status, "{kind:?}");
    assert!(!refused.text.contains("secret"), "{refused:?}");
}

#[test]
fn every_kind_of_failure_has_its_status() {
    check(ErrorKind::Invalid, 400);
    check(ErrorKind::TooLarge, 413);
    check(ErrorKind::Corrupt, 404);
    check(ErrorKind::NoSpace, 507);
    check(ErrorKind::Unavailable, 503);
    check(ErrorKind::Locked, 503);
    check(ErrorKind::Closed, 503);
    check(ErrorKind::Timeout, 504);
    check(ErrorKind::Unsupported, 501);
    check(ErrorKind::Denied, 500);
    check(ErrorKind::Internal, 500);
    check(ErrorKind::Codec, 500);
}

#[test]
fn every_refusal_has_its_status() {
    let status = |reason| Refused::of_put(PutStatus::Refused(reason)).map(|refused| refused.status.as_u16());
    assert_eq!(status(Refusal::Disabled), Some(403));
    assert_eq!(status(Refusal::OverBudget), Some(413));
    assert_eq!(status(Refusal::NoRoom), Some(503));
    assert_eq!(status(Refusal::PassedOver), Some(503));
    assert!(Refused::of_put(PutStatus::Stored).is_none());
}
