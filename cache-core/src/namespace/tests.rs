use super::*;

#[test]
fn a_namespace_covers_itself_and_what_is_below() {
    let a: Namespace = "a".parse().unwrap();
    let ab: Namespace = "a/b".parse().unwrap();
    let a_b: Namespace = "a-b".parse().unwrap();
    assert!(a.covers(&a) && a.covers(&ab) && Namespace::root().covers(&a));
    assert!(!a.covers(&a_b) && !ab.covers(&a) && !a.covers(&Namespace::root()));
}

#[test]
fn order_is_that_of_the_encoded_bytes() {
    let mut names: Vec<Namespace> = ["b", "a/b", "a-b", "", "a", "A"].map(|n| n.parse().unwrap()).into();
    names.sort();
    let encoded: Vec<_> = names.iter().map(Namespace::encoded).collect();
    assert_eq!(encoded, ["", "~%41", "~a", "~a-b", "~a/~b", "~b"]);
}

#[test]
fn too_long_paths_are_refused() {
    let part = "x".repeat(64);
    let mut namespace = Namespace::root();
    for _ in 0..7 {
        namespace = namespace.child(&part).unwrap();
    }
    assert!(namespace.child(&part).is_err());
    assert!(namespace.join(&namespace).is_err());
}

#[test]
fn strangers_are_not_decoded() {
    for text in ["a", "~a/", "/~a", "~a//~b", "~A", "lost+found", "ab"] {
        assert_eq!(Namespace::decode(text), None, "{text:?}");
    }
    let nested: Namespace = "Team 1/é".parse().unwrap();
    assert_eq!(Namespace::decode(nested.encoded()), Some(nested.clone()));
    assert_eq!(nested.parts(), ["Team 1", "é"]);
}
