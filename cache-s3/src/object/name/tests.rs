use super::*;

fn key(namespace: &str, digit: u8) -> Key {
    Key::new(namespace.parse().unwrap(), Digest::from_bytes([digit; 32]))
}

#[test]
fn names_order_as_keys_do_and_lead_back_to_them() {
    let layout = Layout::new("team/cache");
    let mut keys = Vec::new();
    for namespace in
        ["", "a", "a-b", "a.b", "a b", "a/b", "a/b-c", "a/b/c", "ab", "b", "A", "ä", "!", "a!b", "%", "0"]
    {
        keys.extend([0, 9, 0xab, 0xff].map(|digit| key(namespace, digit)));
    }
    keys.sort();
    let names: Vec<_> = keys.iter().map(|key| layout.name(key)).collect();
    assert!(names.is_sorted(), "{names:#?}");
    for (key, name) in keys.iter().zip(&names) {
        assert_eq!(layout.key(name).as_ref(), Some(key));
        assert_eq!(Path::parse(name).unwrap().as_ref(), name);
    }
}

#[test]
fn strangers_have_no_key() {
    let layout = Layout::new("p");
    let digits = "ab".repeat(32);
    for name in [
        format!("p/{digits}"),
        format!("q/!{digits}"),
        format!("p!{digits}"),
        format!("p/!{}", digits.to_uppercase()),
        format!("p/!{}", &digits[1..]),
        format!("p/a!{digits}"),
        format!("p/~a!{digits}.tmp"),
        format!("p/~a//~b!{digits}"),
        "p/readme.txt".into(),
        String::new(),
    ] {
        assert_eq!(layout.key(&name), None, "{name}");
    }
    assert!(layout.key(&format!("p/~a!{digits}")).is_some());
}

#[test]
fn the_longest_name_is_one_that_s3_takes() {
    let namespace: Namespace = ["n".repeat(63).as_str(); 7].join("/").parse().unwrap();
    let name = Layout::new(&"p".repeat(400)).name(&Key::new(namespace, Digest::of("k")));
    assert!(name.len() <= 1024, "{}", name.len());
}

#[test]
fn listings_begin_with_what_they_ask_for() {
    let layout = Layout::new("p");
    let namespace: Namespace = "a".parse().unwrap();
    let prefix = "12ab".parse::<DigestPrefix>().unwrap();
    assert_eq!(layout.ranges(&ListOptions::of(&namespace).with_prefix(prefix)), ["p/~a!12ab"]);
    assert_eq!(layout.ranges(&ListOptions::below(&namespace)), ["p/~a!", "p/~a/"]);
    assert_eq!(layout.ranges(&ListOptions::below(&Namespace::root())), ["p/!", "p/~"]);
    assert_eq!(Layout::new("").ranges(&ListOptions::default()), ["!"]);
}
