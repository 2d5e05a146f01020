//! Namespaces, what they cover, and names that file systems and servers find odd.

use cache_core::{BlobName, CleanPolicy, Key, ListOptions, Namespace, PutMode, PutOptions};

use crate::{
    Factory,
    ages::Ages,
    sample::{Contents, blobs, bytes, data, key, key_in, namespace, pause},
    subject::Subject,
};

/// One digest in several namespaces is several entries.
pub async fn namespaces_do_not_collide(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let paths = ["", "a", "a/a", "a/a/a", "b", "a/b", "ab", "data"];
    for path in paths {
        store.put_new(&key_in(&namespace(path), 1), &data(format!("in {path}"))).await;
    }
    for path in paths {
        store.assert_holds(&key_in(&namespace(path), 1), &data(format!("in {path}"))).await;
    }
    for path in ["c", "b/a", "a/ab", "a/a/b"] {
        store.assert_absent(&key_in(&namespace(path), 1)).await;
    }
    store.put_new(&key_in(&namespace("a"), 1), &blobs([("other", "x")])).await;
    store.assert_holds(&key_in(&namespace("a"), 1), &blobs([("other", "x")])).await;
    for path in paths.iter().filter(|path| **path != "a") {
        store.assert_holds(&key_in(&namespace(path), 1), &data(format!("in {path}"))).await;
    }
}

/// The usage of a parent includes that of its children.
pub async fn usage_counts_namespaces_below(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for (path, bytes_each) in [("", 1), ("a", 10), ("a/b", 100), ("a/b/c", 1000), ("ab", 10_000)] {
        for number in 0..2 {
            store.put_new(&key_in(&namespace(path), number), &data(bytes(number, bytes_each))).await;
        }
    }
    let expected = [
        ("", 10, 22_222),
        ("a", 6, 2220),
        ("a/b", 4, 2200),
        ("a/b/c", 2, 2000),
        ("ab", 2, 20_000),
        ("b", 0, 0),
        ("a/b/c/d", 0, 0),
    ];
    for (path, entries, bytes) in expected {
        store.assert_usage(&namespace(path), entries, bytes).await;
    }
    store.evict(&key_in(&namespace("a/b"), 0)).await.expect("an eviction");
    for (path, entries, bytes) in [("", 9, 22_122), ("a", 5, 2120), ("a/b", 3, 2100), ("a/b/c", 2, 2000)] {
        store.assert_usage(&namespace(path), entries, bytes).await;
    }
}

/// Two entries each: the first was made two hours ago, the second one hour ago.
async fn fill(store: &Subject, ages: &mut Ages, paths: &[&str]) {
    for number in [1, 2] {
        let made = ages.made(3 - number).await;
        for path in paths {
            store.put_as(&key_in(&namespace(path), number), &data(bytes(number, 1000)), made.clone()).await;
        }
    }
}

/// A clean of a child leaves parent and siblings alone.
pub async fn clean_stays_in_its_scope(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let others = ["", "a", "a/c", "a/bc", "ab", "b"];
    let mut ages = Ages::of(&store);
    fill(&store, &mut ages, &[&others[..], &["a/b"]].concat()).await;
    let scope = namespace("a/b");
    let report = store.clean(&scope, &ages.up_to(1)).await.expect("a clean");
    assert_eq!((report.evicted_entries, report.kept_entries), (1, 1), "by age");
    store.assert_absent(&key_in(&scope, 1)).await;
    store.assert_holds(&key_in(&scope, 2), &data(bytes(2, 1000))).await;
    let report = store.clean(&scope, &CleanPolicy::default().with_max_bytes(0)).await.expect("a clean");
    assert_eq!((report.evicted_entries, report.kept_entries), (1, 0), "by size");
    store.assert_usage(&scope, 0, 0).await;
    let report = store.clean(&namespace("c"), &CleanPolicy::default().with_max_bytes(0)).await;
    assert_eq!(report.expect("a clean").evicted_entries, 0, "an empty scope");
    for path in others {
        for number in [1, 2] {
            store.assert_holds(&key_in(&namespace(path), number), &data(bytes(number, 1000))).await;
        }
    }
}

/// A clean of a parent goes by the age and recency of each entry below.
pub async fn clean_covers_namespaces_below(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let (inside, outside) = (["a", "a/b", "a/b/c", "a/d"], ["", "ab", "b"]);
    let mut ages = Ages::of(&store);
    fill(&store, &mut ages, &[&inside[..], &outside].concat()).await;
    let report = store.clean(&namespace("a"), &ages.up_to(1)).await.expect("a clean");
    assert_eq!((report.evicted_entries, report.kept_entries), (4, 4), "by age");
    for path in inside {
        store.assert_absent(&key_in(&namespace(path), 1)).await;
        store.assert_holds(&key_in(&namespace(path), 2), &data(bytes(2, 1000))).await;
    }
    // The parent's own entry is the newest: those below go before it.
    pause().await;
    let newest = ages.made(0).await;
    store.put_as(&key_in(&namespace("a"), 2), &data(bytes(2, 1000)), newest).await;
    let before = store.usage_below(&namespace("a")).await;
    let policy = CleanPolicy::default().with_max_bytes(before.bytes / 4);
    let report = store.clean(&namespace("a"), &policy).await.expect("a clean");
    assert_eq!((report.evicted_entries, report.kept_entries), (3, 1), "by size");
    store.assert_holds(&key_in(&namespace("a"), 2), &data(bytes(2, 1000))).await;
    for path in outside {
        for number in [1, 2] {
            store.assert_holds(&key_in(&namespace(path), number), &data(bytes(number, 1000))).await;
        }
    }
}

/// What some file system, shell, URL or server gives a meaning of its own.
fn odd_names() -> Vec<String> {
    let mut names: Vec<_> = [
        "a b",
        " a",
        "a ",
        " ",
        "%",
        "%2e",
        "%2E",
        "%2f",
        "~",
        "~a",
        "A",
        "a",
        "aA",
        "Aa",
        "\u{e9}",
        "e\u{301}",
        "\u{212b}",
        "\u{c5}",
        "ß",
        "ss",
        "ı",
        "i",
        "I",
        "-x",
        "--help",
        "x.",
        "x",
        ".x",
        "...",
        "..a",
        "x.tmp",
        "con",
        "CON",
        "nul",
        "aux.txt",
        "lost+found",
        "*",
        "?",
        "a:b",
        "a|b",
        "<a>",
        "\"",
        "'",
        "$HOME",
        "`a`",
        "#",
        "&amp;",
        "a=b&c=d",
        "+",
        "00",
        "ff",
        "data",
        "日本",
        "🦀",
        "\u{200b}",
        "\u{feff}a",
        "index.html",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(64));
    names.push("X".repeat(64));
    names.push("é".repeat(32));
    names.push(key(1).digest.to_string());
    names.push(key(1).digest.to_string().to_uppercase());
    names
}

/// Spaces, percent signs, case twins, Unicode twins and long names stay apart.
pub async fn odd_names_round_trip(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let names = odd_names();
    let root = Namespace::root();
    let child = |name: &String| root.child(name).unwrap_or_else(|error| panic!("{name:?}: {error}"));
    let mut keys = Vec::new();
    for name in &names {
        let key = key_in(&child(name), 1);
        store.put_new(&key, &data(name.clone())).await;
        keys.push((key, data(name.clone())));
    }
    let nested = child(&names[0]).child("A").and_then(|outer| outer.child("%")).expect("a namespace");
    for (number, path) in [nested.clone(), nested.child("~").expect("a namespace")].into_iter().enumerate() {
        let key = key_in(&path, 1);
        store.put_new(&key, &data(format!("nested {number}"))).await;
        keys.push((key, data(format!("nested {number}"))));
    }
    for (key, contents) in &keys {
        store.assert_holds(key, contents).await;
        assert_eq!(store.keys(ListOptions::of(&key.namespace)).await, std::slice::from_ref(key));
    }
    let listed = store.keys(ListOptions::below(&root)).await;
    keys.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(listed, keys.into_iter().map(|(key, _)| key).collect::<Vec<_>>());

    let mut contents: Contents =
        names.iter().map(|name| (name.clone(), format!("blob {name}").into())).collect();
    store.put_new(&key(2), &contents).await;
    store.assert_holds(&key(2), &contents).await;
    for name in ["A", "\u{e9}", "%2e", "x."] {
        store.put_as(&key(2), &blobs([(name, "new")]), PutOptions::mode(PutMode::Merge)).await;
        contents.append(&mut blobs([(name, "new")]));
        store.assert_holds(&key(2), &contents).await;
    }
}

/// Entries of nested namespaces up to 448 encoded bytes, many short parts or few long ones, are found again.
pub async fn long_paths_round_trip(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let grown = |part: &str| {
        let mut path = Namespace::root();
        loop {
            match path.child(part) {
                Ok(longer) if longer.encoded().len() <= 448 => path = longer,
                _ => return path,
            }
        }
    };
    let long = "long".repeat(16);
    for part in ["x", "%", &long, "\u{e9}\u{e9}\u{e9}\u{e9}"] {
        let path = grown(part);
        let parts = path.parts();
        let cut = parts[..parts.len() - 1].iter().try_fold(Namespace::root(), |path, part| path.child(part));
        let outer = cut.expect("a shorter path");
        let contents = blobs([("data", bytes(1, 1000)), (&*"n".repeat(64), bytes(2, 10))]);
        for namespace in [&path, &outer] {
            store.put_new(&key_in(namespace, 1), &contents).await;
        }
        for namespace in [&path, &outer] {
            store.assert_holds(&key_in(namespace, 1), &contents).await;
        }
        let both = [key_in(&outer, 1), key_in(&path, 1)];
        assert_eq!(store.keys(ListOptions::below(&outer)).await, both, "below {} parts", parts.len() - 1);
        store.assert_usage(&path, 1, 1010).await;
        store.evict(&both[0]).await.expect("an eviction");
        store.assert_holds(&both[1], &contents).await;
        let clean = CleanPolicy::default().with_max_bytes(0);
        assert_eq!(store.clean(&outer, &clean).await.expect("a clean").evicted_entries, 1);
        store.assert_absent(&both[1]).await;
    }
}

/// What a name is encoded as is a name of its own: none collides with another name's stored form.
pub async fn encoded_names_are_other_names(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut names = Vec::new();
    for start in ["A", "~a", "%2f", "data", "\u{e9}", "a b"] {
        let mut name = start.to_owned();
        for _ in 0..3 {
            names.push(name.clone());
            name = BlobName::new(&name).expect("a name").encoded();
        }
    }
    names.sort();
    names.dedup();
    let mut contents = Contents::new();
    for name in &names {
        let place = key_in(&Namespace::root().child(name).expect("a namespace"), 1);
        store.put_new(&place, &data(format!("in {name}"))).await;
        contents.insert(name.clone(), format!("blob {name}").into());
        store
            .put_as(&key(1), &blobs([(&**name, format!("blob {name}"))]), PutOptions::mode(PutMode::Merge))
            .await;
    }
    store.assert_holds(&key(1), &contents).await;
    for name in &names {
        let place = key_in(&Namespace::root().child(name).expect("a namespace"), 1);
        store.assert_holds(&place, &data(format!("in {name}"))).await;
    }
    assert_eq!(store.keys(ListOptions::default().recursive()).await.len(), names.len() + 1);
}

/// Namespaces named as a digest, its first digits, a blob or a temporary stand apart from entries and blobs.
pub async fn namespaces_named_as_entries_stay_apart(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let entry = key(1);
    let digits = entry.digest.to_string();
    let (shard, nested) = (&digits[..2], format!("{}/{digits}", &digits[..2]));
    let names =
        [shard, &*digits, &*nested, &*format!("{nested}/data"), "data", "data/data", ".tmp", "tmp", "x.lock"];
    let all: Vec<Key> =
        names.iter().map(|name| Key::new(namespace(name), entry.digest)).chain([entry.clone()]).collect();
    for (number, key) in (0..).zip(&all) {
        store.put_new(key, &data(bytes(number, 50))).await;
    }
    for (number, key) in (0..).zip(&all) {
        store.assert_holds(key, &data(bytes(number, 50))).await;
        assert_eq!(store.keys(ListOptions::of(&key.namespace)).await, std::slice::from_ref(key));
    }
    store.assert_usage(&namespace(shard), 3, 150).await;
    store.evict(&entry).await.expect("an eviction");
    store.evict(&all[0]).await.expect("an eviction");
    store.assert_absent(&entry).await;
    store.assert_absent(&all[0]).await;
    for (number, key) in (0..).zip(&all).skip(1).take(all.len() - 2) {
        store.assert_holds(key, &data(bytes(number, 50))).await;
    }
    store.assert_usage(&Namespace::root(), 8, 400).await;
}
