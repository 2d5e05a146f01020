use super::*;

/// The shards that a walk with these options goes through.
fn shards(options: ListOptions) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    for shard in 0..=255_u8 {
        std::fs::create_dir(dir.path().join(format!("{shard:02x}"))).unwrap();
    }
    let root = Root::open(dir.path()).unwrap();
    let mut scan = Scan::new(options, "list");
    scan.enter(&root, Namespace::root()).unwrap();
    scan.shards.into()
}

fn prefix(digits: &str) -> ListOptions {
    ListOptions::default().with_prefix(digits.parse().unwrap())
}

#[test]
fn a_walk_goes_through_the_shards_that_its_options_need() {
    assert_eq!(shards(prefix("ab12")), ["ab"]);
    assert_eq!(shards(prefix("ab")), ["ab"]);
    assert_eq!(shards(prefix("ab1").recursive()), ["ab"]);
    assert_eq!(shards(prefix("f")).len(), 16);
    assert_eq!(shards(ListOptions::default()).len(), 256);
    let after = |namespace: &str| {
        let digest = prefix("fd").prefix.unwrap().first();
        ListOptions::default().recursive().with_start_after(Key::new(namespace.parse().unwrap(), digest))
    };
    assert_eq!(shards(after("")), ["fd", "fe", "ff"]);
    assert_eq!(shards(after("later")), Vec::<String>::new());
}
