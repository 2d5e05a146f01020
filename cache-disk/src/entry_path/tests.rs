use cache_core::Key;

use super::*;
use crate::root;

#[test]
fn paths_on_the_stack_are_those_of_the_layout() {
    let digest = Digest::of("k");
    for namespace in ["", "a", "Team/ä/b"] {
        let key = Key::new(namespace.parse().unwrap(), digest);
        let entry = root::entry_path(&key);
        let text = |path: &EntryPath| path.as_c_str().to_str().unwrap().to_owned();
        assert_eq!(text(&EntryPath::shard(key.view())), root::shard_path(&key));
        assert_eq!(text(&EntryPath::entry(key.view())), entry);
        for name in ["data", "exit code"] {
            let name = BlobName::new(name).unwrap();
            assert_eq!(text(&EntryPath::blob(key.view(), &name)), format!("{entry}/{}", name.encoded()));
        }
    }
}

#[test]
fn the_longest_names_fit() {
    let mut namespace = Namespace::root();
    while let Ok(longer) = namespace.child("\u{7ff}".repeat(32)).or_else(|_| namespace.child("x")) {
        namespace = longer;
    }
    let (key, name) = (Key::new(namespace, Digest::of("k")), BlobName::new("\u{7ff}".repeat(32)).unwrap());
    let path = EntryPath::blob(key.view(), &name);
    assert_eq!(path.as_c_str().to_str().unwrap(), format!("{}/{}", root::entry_path(&key), name.encoded()));
    assert!(path.len > 700);
}
