use super::*;

fn call() -> Call {
    Call::new("resize")
        .with_module("image")
        .with_version("2")
        .with_code(Digest::of("code"))
        .with_argument("width", &640)
        .unwrap()
        .with_argument_datum("image", Digest::of("image"))
        .with_result(&"thumbnail")
        .unwrap()
        .with_metadata("host", &"a")
        .unwrap()
}

fn any() -> CallTemplate {
    CallTemplate::default()
}

#[test]
fn field_that_is_not_set_is_a_wildcard() {
    assert!(any().matches(&call()));
    assert!(any().matches(&Call::new("")));
}

#[test]
fn field_that_is_set_matches_exactly() {
    let digest = |value: &str| Digest::of_serialize(value).unwrap();
    for (wanted, other) in [
        (any().with_name("resize"), any().with_name("Resize")),
        (any().with_module("image"), any().with_module("")),
        (any().with_version("2"), any().with_version("2.0")),
        (any().with_code(Digest::of("code")), any().with_code(Digest::of("other"))),
        (any().with_argument("width", &640).unwrap(), any().with_argument("width", &641).unwrap()),
        (any().with_argument("width", &640).unwrap(), any().with_argument("height", &640).unwrap()),
        (any().with_result(&"thumbnail").unwrap(), any().with_result(&"").unwrap()),
        (any().with_metadata("host", &"a").unwrap(), any().with_metadata("host", &"b").unwrap()),
        (any().with_metadata("host", &"a").unwrap(), any().with_metadata("log", &"a").unwrap()),
        (
            any().with_argument_digest("image", Digest::of("image")),
            any().with_argument("image", "image").unwrap(),
        ),
        (any().with_result_digest(digest("thumbnail")), any().with_result_digest(digest(""))),
        (any().with_metadata_digest("host", digest("a")), any().with_metadata_digest("host", digest("b"))),
    ] {
        assert!(wanted.matches(&call()), "{wanted:?}");
        assert!(!other.matches(&call()), "{other:?}");
        assert!(!wanted.clone().with_name("x").matches(&call()), "one of two fields is not enough");
    }
}

#[test]
fn field_that_a_call_lacks_matches_no_value() {
    let bare = Call::new("resize");
    for wanted in [
        any().with_module("image"),
        any().with_version("2"),
        any().with_code(Digest::of("code")),
        any().with_argument("width", &640).unwrap(),
        any().with_result(&"thumbnail").unwrap(),
        any().with_metadata("host", &"a").unwrap(),
    ] {
        assert!(!wanted.matches(&bare), "{wanted:?}");
    }
}

#[test]
fn other_arguments_are_allowed_unless_these_only_are_wanted() {
    let one = any().with_argument("width", &640).unwrap();
    assert!(one.matches(&call()) && !one.clone().only_these_arguments().matches(&call()));
    let both = one.with_argument_digest("image", Digest::of("image")).only_these_arguments();
    assert!(both.matches(&call()));
    assert!(any().only_these_arguments().matches(&Call::new("f")));
}
