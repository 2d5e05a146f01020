use super::*;

#[track_caller]
fn check(function: &str, component: &str) {
    assert_eq!(component_of(function), component);
    assert!(component::check("a part", &component_of(function)).is_ok());
}

#[test]
fn function_with_a_safe_name_lies_under_that_name() {
    check("resize", "resize");
    check("image::resize<é>", "image::resize<é>");
    check("a", "a");
    check(&"x".repeat(64), &"x".repeat(64));
}

#[test]
fn function_with_another_name_lies_under_a_hash_of_it() {
    let hashed = |name: &str| format!("-{}", &Digest::of(name).to_string()[..60]);
    for name in ["", ".", "..", "a/b", "a\\b", "a\nb", "\0", "-x", &"x".repeat(65), &"é".repeat(40)] {
        check(name, &hashed(name));
    }
}

#[test]
fn function_named_like_the_hash_of_another_lies_elsewhere() {
    let forged = component_of("a/b");
    assert_ne!(component_of(&forged), forged);
}

#[test]
fn only_namespaces_right_below_are_those_of_functions() {
    let root: Namespace = "calls".parse().unwrap();
    let is = |namespace: &str| is_function(&root, &namespace.parse().unwrap());
    assert!(is("calls/resize") && is(&format!("calls/{}", component_of("-x"))));
    for other in ["", "calls", "calls/resize/deeper", "calls2/resize", "other/resize"] {
        assert!(!is(other), "{other}");
    }
    assert!(is_function(&Namespace::root(), &"resize".parse().unwrap()));
    assert!(!is_function(&Namespace::root(), &Namespace::root()));
}

#[test]
fn function_below_a_long_namespace_may_not_fit() {
    let root: Namespace = vec!["x".repeat(60); 8].join("/").parse().unwrap();
    assert_eq!(namespace_of(&root, &"y".repeat(60)).unwrap_err().kind(), crate::ErrorKind::Invalid);
}
