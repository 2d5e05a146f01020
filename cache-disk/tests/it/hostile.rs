//! Names that somebody chose to get out of the directory, or to be taken for another.

use std::{collections::BTreeMap, fs, path::Path};

use cache_core::{
    BlobName, Key, KeyManagement, ListOptions, Namespace, PutEntry, PutMode, PutOptions, Store, StoreExt,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{key, open};

/// Parts of names, each of which has got somebody into trouble.
const PARTS: [&str; 74] = [
    "",
    ".",
    "..",
    "...",
    "/",
    "//",
    "\\",
    "\0",
    "\n",
    "\r\n",
    "\t",
    "\u{1b}[0m",
    " ",
    "  ",
    "~",
    "~~",
    "~a",
    "%",
    "%2e",
    "%2e%2e",
    "%2f",
    "%00",
    "%25",
    "%c0%ae",
    "a",
    "A",
    "ab",
    "aB",
    "a.",
    "a ",
    ".a",
    " a",
    "-",
    "--",
    "-rf",
    "*",
    "?",
    "|",
    "<",
    ">",
    ":",
    "\"",
    "'",
    "`id`",
    "$HOME",
    "$(id)",
    "&",
    ";",
    "#",
    "!",
    "{",
    "}",
    "CON",
    "NUL.txt",
    "aux",
    "COM1",
    "é",
    "e\u{301}",
    "ß",
    "ss",
    "İ",
    "i\u{307}",
    "\u{202e}txt",
    "\u{200b}",
    "\u{feff}",
    "🦀",
    "👩‍👩‍👧",
    ".tmp",
    ".quarantine",
    ".cache-disk",
    ".index",
    "data",
    "00",
    "~data",
];

/// Entries that are put or read at a time.
const AT_ONCE: usize = 32;

/// Every pair of parts, as one name.
fn corpus() -> Vec<String> {
    let pairs = PARTS.iter().flat_map(|a| PARTS.iter().map(move |b| format!("{a}{b}")));
    let long = ["x", "é", "🦀", "%", "A"]
        .iter()
        .flat_map(|text| [63, 64, 65, 10_000].map(|times| text.repeat(times)));
    pairs.chain(long).collect()
}

/// Files and directories, however deep.
fn count(dir: &Path) -> usize {
    let below = |file: fs::DirEntry| if file.file_type().unwrap().is_dir() { count(&file.path()) } else { 0 };
    fs::read_dir(dir).unwrap().map(|file| 1 + below(file.unwrap())).sum()
}

#[tokio::test]
async fn names_are_refused_or_stay_apart_and_inside() {
    let corpus = corpus();
    assert!(corpus.len() >= 5000);
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("store");
    let store = open(&dir).await;
    let mut kept: BTreeMap<Namespace, String> = BTreeMap::new();
    let mut folded: BTreeMap<String, String> = BTreeMap::new();
    for name in &corpus {
        let Ok(namespace) = Namespace::root().child(name) else { continue };
        assert_eq!(namespace.parts(), [name.as_str()], "it comes back as it was given");
        if kept.insert(namespace.clone(), name.clone()).is_some() {
            continue;
        }
        let on_disk = namespace.encoded().to_owned();
        assert!(on_disk.len() <= 255 && !on_disk.contains('/') && on_disk.starts_with('~'), "{on_disk}");
        let same = folded.insert(on_disk.to_lowercase(), name.clone());
        assert_eq!(same, None, "{name:?} and {same:?} are one file where case does not count");
    }
    let puts = stream::iter(kept.clone()).for_each_concurrent(AT_ONCE, |(namespace, name)| {
        let store = store.clone();
        async move {
            let outcome = store.put_bytes(&Key::new(namespace, key("k").digest), name.into()).await;
            assert!(outcome.unwrap().is_stored());
        }
    });
    puts.await;
    assert!(kept.len() > 2000, "most names are fine: {}", kept.len());
    let listed: Vec<_> = store.list(ListOptions::below(&Namespace::root())).try_collect().await.unwrap();
    assert_eq!(listed.len(), kept.len());
    let reads = stream::iter(listed).for_each_concurrent(AT_ONCE, |meta| {
        let (store, name) = (store.clone(), kept[&meta.key.namespace].clone());
        async move {
            assert_eq!(store.get_bytes(&meta.key, &BlobName::DATA).await.unwrap().unwrap(), name);
        }
    });
    reads.await;
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "something was written beside the store");
    // A namespace, a shard, an entry and a blob each, the marker, and the session.
    store.close(None).await.unwrap();
    drop(store);
    _ = fs::remove_dir_all(dir.join(".index"));
    assert_eq!(count(&dir), 4 * kept.len() + 2);
}

#[tokio::test]
async fn names_of_blobs_are_refused_or_stay_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut kept: BTreeMap<BlobName, String> = BTreeMap::new();
    for name in corpus().iter().step_by(9).chain(PARTS.map(str::to_owned).iter()) {
        let Ok(blob) = BlobName::new(name) else { continue };
        kept.insert(blob, name.clone());
    }
    let entry =
        kept.iter().fold(PutEntry::default(), |entry, (blob, name)| entry.with(blob.clone(), name.clone()));
    store.put(&key("k"), entry, PutOptions::mode(PutMode::Replace)).await.unwrap();
    for (blob, name) in &kept {
        assert_eq!(store.get_bytes(&key("k"), blob).await.unwrap().unwrap(), name.as_bytes(), "{name:?}");
    }
    assert_eq!(store.meta(&key("k")).await.unwrap().unwrap().blobs.len(), kept.len());
}
