use std::collections::BTreeSet;

use super::*;

/// Namespaces of which some lie between another one and what is below that, and digests of shared digits.
fn keys() -> BTreeSet<Key> {
    let namespaces = ["", "a", "a/b", "a/b/c", "a b", "a-", "A", "ab", "b"];
    let digests = [[0x00; 32], [0x12; 32], [0x13; 32], [0x20; 32], [0xff; 32]].map(Digest::from_bytes);
    let of = |path: &str| digests.map(|digest| Key::new(path.parse().unwrap(), digest));
    namespaces.into_iter().flat_map(of).collect()
}

#[test]
fn scan_from_the_first_key_to_the_end_misses_nothing_and_ends_early() {
    let keys = keys();
    let prefixes = [None, Some("0"), Some("1"), Some("12"), Some("ff"), Some("7")];
    let starts = || [None].into_iter().chain(keys.iter().step_by(3).cloned().map(Some));
    let namespaces: BTreeSet<_> = keys.iter().map(|key| key.namespace.clone()).collect();
    for (namespace, recursive) in
        namespaces.iter().flat_map(|namespace| [(namespace, true), (namespace, false)])
    {
        for (prefix, start_after) in
            prefixes.iter().flat_map(|prefix| starts().map(move |start| (prefix, start)))
        {
            let prefix = prefix.map(|digits| digits.parse().unwrap());
            let namespace = namespace.clone();
            let asked = ListOptions { namespace, recursive, prefix, start_after, limit: None };
            let scan: Vec<_> =
                keys.range(asked.first()..).take_while(|key| !asked.ends_before(key)).collect();
            let found: Vec<_> = scan.iter().copied().filter(|key| asked.admits(key)).collect();
            let expected: Vec<_> = keys.iter().filter(|key| asked.admits(key)).collect();
            assert_eq!(found, expected, "{asked:?}");
            // Within one namespace a scan meets only what is asked for, and what it starts after.
            assert!(recursive || scan.len() <= found.len() + 1, "{asked:?} looks at {scan:?}");
        }
    }
}
