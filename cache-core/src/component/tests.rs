use proptest::prelude::*;

use super::*;

#[test]
fn unsafe_components_are_refused() {
    for name in
        ["", ".", "..", "a/b", "a\\b", "\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(65), &"é".repeat(33)]
    {
        assert!(check("name", name).is_err(), "{name:?}");
    }
    for name in ["a", "...", "a.b", " ", "~", "%2e", "-x", "CON", "e\u{301}", "é", &"x".repeat(64)] {
        assert!(check("name", name).is_ok(), "{name:?}");
    }
}

#[test]
fn encoding_is_pinned() {
    assert_eq!(encode("data"), "~data");
    assert_eq!(encode("exit_code"), "~exit_code");
    assert_eq!(encode("Output.txt"), "~%4futput.txt");
    assert_eq!(encode("v1."), "~v1%2e");
    assert_eq!(encode("é ~%"), "~%c3%a9%20%7e%25");
}

#[test]
fn what_was_never_encoded_is_not_decoded() {
    for name in ["data", "~", "~A", "~%2E", "~%41%", "~%4", "~a b", "~%61", "~%ff", "~%2f", "~x."] {
        assert_eq!(decode(name), None, "{name:?}");
    }
}

proptest! {
    #[test]
    fn encoding_is_injective_also_under_case_folding(a in "\\PC{1,16}", b in "\\PC{1,16}") {
        if check("name", &a).is_ok() && check("name", &b).is_ok() {
            prop_assert_eq!(decode(&encode(&a)), Some(a.clone()));
            prop_assert_eq!(encode(&a).to_lowercase() == encode(&b).to_lowercase(), a == b);
        }
    }
}
