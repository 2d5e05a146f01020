//! The layout of version 1, pinned: the name and the bytes of an entry's object.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use cache_core::{Digest, GetOptions, Key, ManualClock, Namespace, PutEntry, PutOptions, Store};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use crate::{S3Store, StoreOptions};

/// A line with the name of the object, and lines of 32 bytes each.
const OBJECT: &str = include_str!("golden-v1.hex");

fn key() -> Key {
    Key::new("team/größe a-b".parse::<Namespace>().unwrap(), Digest::of("golden"))
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)
}

async fn open(objects: &Arc<InMemory>) -> S3Store {
    let clock = Arc::new(ManualClock::new(now()));
    S3Store::with_clock(objects.clone(), StoreOptions::default().with_prefix("p/q"), clock).await.unwrap()
}

fn blobs() -> [(&'static str, Bytes); 3] {
    // Two blocks, mostly zeros.
    let data = [&b"begin"[..], &[0; 65_600], b"end"].concat();
    [("data", data.into()), ("exit", "0".into()), ("log", Bytes::new())]
}

async fn written() -> (String, Bytes) {
    let objects = Arc::new(InMemory::new());
    let store = open(&objects).await;
    let mut blobs = blobs().into_iter();
    let (name, data) = blobs.next().unwrap();
    let entry =
        blobs.fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name.parse().unwrap(), bytes));
    let created = PutOptions::default().with_created(UNIX_EPOCH - Duration::from_millis(1500));
    store.put(&key(), entry, created).await.unwrap();
    let entry = PutEntry::default().with(name.parse().unwrap(), data);
    store.put(&key(), entry, PutOptions::mode(cache_core::PutMode::Merge)).await.unwrap();
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    let object = objects.get(&listed[0].location).await.unwrap();
    (listed[0].location.to_string(), object.bytes().await.unwrap())
}

/// Runs of the same line stand once, with their number.
fn dump(name: &str, object: &[u8]) -> String {
    let mut text = format!("{name}\n");
    let mut lines = object.chunks(32).peekable();
    while let Some(line) = lines.next() {
        let mut times = 1;
        while lines.next_if_eq(&line).is_some() {
            times += 1;
        }
        let digits: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{times} {digits}").unwrap();
    }
    text
}

fn pinned() -> (String, Bytes) {
    let (name, lines) = OBJECT.split_once('\n').unwrap();
    let mut object = Vec::new();
    for line in lines.lines() {
        let (times, digits) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        for _ in 0..times.parse().unwrap() {
            object.extend_from_slice(&bytes);
        }
    }
    (name.to_owned(), object.into())
}

#[tokio::test]
async fn an_object_is_pinned_byte_for_byte() {
    let (name, object) = written().await;
    assert_eq!(dump(&name, &object), OBJECT);
}

#[tokio::test]
async fn an_object_of_long_ago_is_read() {
    let (name, object) = pinned();
    let objects = Arc::new(InMemory::new());
    objects.put(&Path::parse(&name).unwrap(), object.into()).await.unwrap();
    let store = open(&objects).await;
    for (name, expected) in blobs() {
        let read = store.get(&key(), &name.parse().unwrap(), GetOptions::default()).await.unwrap().unwrap();
        assert!(read.bytes() == Some(&expected), "{name}");
    }
    let meta = store.meta(&key()).await.unwrap().unwrap();
    assert_eq!(meta.created, Some(UNIX_EPOCH - Duration::from_millis(1500)));
    assert_eq!(meta.modified, Some(now()));
}

#[tokio::test]
#[ignore = "writes the pinned file anew, for another version of the layout"]
async fn regenerate() {
    let (name, object) = written().await;
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/golden-v1.hex"), dump(&name, &object))
        .unwrap();
}
