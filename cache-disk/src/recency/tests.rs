use std::{sync::Arc, time::SystemTime};

use cache_core::{
    BlobName, CleanPolicy, Clock, Digest, KeyManagement, ManualClock, Namespace, PutOptions, Store, StoreExt,
};

use super::*;
use crate::{DiskOptions, DiskStore};

const START: SystemTime = SystemTime::UNIX_EPOCH;

fn key(number: usize) -> Key {
    Key::from(Digest::of(number.to_string()))
}

fn after(seconds: u64) -> SystemTime {
    START + Duration::from_secs(seconds)
}

struct Opened {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: DiskStore,
}

impl Opened {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let opened = DiskStore::open_with_clock(DiskOptions::new(dir.path()), clock.clone());
        let store = opened.await.unwrap();
        Self { dir, clock, store }
    }

    async fn put(&self, number: usize) {
        self.store.put_bytes(&key(number), "v".into()).await.unwrap();
    }

    async fn get(&self, number: usize) {
        assert!(self.store.get_bytes(&key(number), &BlobName::DATA).await.unwrap().is_some());
    }

    fn on_disk(&self, number: usize) -> SystemTime {
        let path = self.dir.path().join(crate::root::entry_path(&key(number)));
        std::fs::metadata(path).unwrap().modified().unwrap()
    }
}

#[test]
fn a_note_is_the_last_of_its_key_in_its_namespace() {
    let recency = Recency::default();
    let other = Key::new(Namespace::root().child("other").unwrap(), key(1).digest);
    recency.touch(key(1).view(), after(3));
    recency.touch(key(1).view(), after(2));
    assert_eq!(recency.last(&key(1)), Some(after(2)), "the clock was set back");
    assert_eq!(recency.last(&other), None);
    recency.touch(other.view(), after(3));
    assert_eq!((recency.last(&key(1)), recency.last(&other)), (Some(after(2)), Some(after(3))));
    recency.forget(&key(1));
    assert_eq!((recency.last(&key(1)), recency.last(&other)), (None, Some(after(3))));
    assert!(!recency.is_empty());
    recency.forget(&other);
    assert!(recency.is_empty());
}

#[test]
fn it_is_time_to_drain_when_a_note_is_a_second_old_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let recency = Recency::default();
    assert!(!recency.touch(key(1).view(), START));
    assert!(!recency.touch(key(1).view(), START + Duration::from_millis(999)));
    assert!(recency.touch(key(1).view(), after(1)));
    assert!(!recency.touch(key(1).view(), after(2)), "it was told");
    recency.drain(&root, || after(1000));
    assert!(recency.is_empty());
    assert!(!recency.touch(key(1).view(), after(3)));
    assert!(recency.touch(key(1).view(), after(4)));
}

#[test]
fn notes_are_bounded_and_told_before_there_is_no_more_room() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let recency = Recency::default();
    let count =
        |recency: &Recency| recency.shards.iter().map(|shard| shard.lock().table.len()).sum::<usize>();
    let first = (0..20_000).find(|number| recency.touch(key(*number).view(), START)).unwrap();
    assert!((MANY..=SHARDS * MANY).contains(&(first + 1)), "{first}");
    for number in 0..2 * SHARDS * MOST {
        recency.touch(key(number).view(), START);
    }
    assert_eq!(count(&recency), SHARDS * MOST);
    let slots = recency.shards.iter().map(|shard| shard.lock().table.capacity());
    assert_eq!(slots.max(), Some(MOST));
    recency.drain(&root, || after(1000));
    assert_eq!(count(&recency), 0);
    let slots = recency.shards.iter().map(|shard| shard.lock().table.capacity());
    assert_eq!(slots.max(), Some(KEPT));
}

#[tokio::test]
async fn notes_come_to_disk_by_a_flush_at_the_end_and_by_hits_a_second_later() {
    let opened = Opened::new().await;
    opened.put(1).await;
    opened.clock.advance(Duration::from_secs(1));
    opened.get(1).await;
    let meta = opened.store.meta(&key(1)).await.unwrap().unwrap();
    assert_eq!(meta.last_accessed, Some(after(1)), "a note is seen at once");
    assert_eq!(opened.on_disk(1), START);
    opened.store.flush().await.unwrap();
    assert_eq!(opened.on_disk(1), after(1));

    opened.clock.advance(Duration::from_secs(1));
    opened.get(1).await;
    opened.clock.advance(Duration::from_secs(1));
    opened.get(1).await;
    while opened.on_disk(1) != after(3) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    opened.clock.advance(Duration::from_secs(1));
    opened.get(1).await;
    opened.store.close(None).await.unwrap();
    assert_eq!(opened.on_disk(1), after(4));
}

#[tokio::test]
async fn a_store_that_is_dropped_writes_its_notes() {
    let opened = Opened::new().await;
    opened.put(1).await;
    opened.clock.advance(Duration::from_secs(1));
    opened.get(1).await;
    let Opened { dir, store, .. } = opened;
    drop(store);
    let path = dir.path().join(crate::root::entry_path(&key(1)));
    while std::fs::metadata(&path).unwrap().modified().unwrap() != after(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_note_never_makes_a_newer_entry_older() {
    let opened = Opened::new().await;
    let root = &opened.store.0.root;
    let stale = Recency::default();
    opened.put(1).await;
    stale.touch(key(1).view(), after(1));
    opened.clock.advance(Duration::from_secs(2));
    opened.put(1).await;
    stale.drain(root, || after(1000));
    assert_eq!(opened.on_disk(1), after(2));
    // One of an entry that is gone is nobody's.
    stale.touch(key(1).view(), after(3));
    opened.store.evict(&key(1)).await.unwrap();
    stale.drain(root, || after(1000));
    assert!(stale.is_empty());
}

#[tokio::test]
async fn what_is_removed_or_replaced_has_no_note() {
    let opened = Opened::new().await;
    let recency = &opened.store.0.recency;
    for replaced in [true, false] {
        opened.put(1).await;
        opened.get(1).await;
        assert_eq!(recency.last(&key(1)), Some(START));
        if replaced {
            opened
                .store
                .put(&key(1), cache_core::PutEntry::data("new"), PutOptions::default())
                .await
                .unwrap();
        } else {
            opened.store.evict(&key(1)).await.unwrap();
        }
        assert_eq!(recency.last(&key(1)), None);
    }
}

#[tokio::test]
async fn an_entry_that_was_read_outlives_a_clean() {
    let opened = Opened::new().await;
    for number in 1..=3 {
        opened.put(number).await;
        opened.clock.advance(Duration::from_secs(1));
    }
    opened.get(1).await;
    let policy = CleanPolicy::default().with_max_bytes(1);
    opened.store.clean(&Namespace::root(), &policy).await.unwrap();
    assert!(opened.store.contains(&key(1)).await.unwrap());
    assert!(!opened.store.contains(&key(3)).await.unwrap());
}

#[tokio::test]
async fn what_is_used_while_notes_are_written_is_not_from_the_future() {
    let opened = Opened::new().await;
    let stale = Recency::default();
    for number in [1, 2] {
        opened.put(number).await;
        stale.touch(key(number).view(), after(1));
    }
    opened.clock.advance(Duration::from_secs(2));
    let is_first = std::cell::Cell::new(true);
    stale.drain(&opened.store.0.root, || {
        if is_first.replace(false) {
            opened.clock.advance(Duration::from_secs(3));
            for number in [1, 2] {
                let path = opened.dir.path().join(crate::root::entry_path(&key(number)));
                std::fs::File::open(path).unwrap().set_modified(after(5)).unwrap();
            }
        }
        opened.clock.now()
    });
    let mut used = [1, 2].map(|number| opened.on_disk(number));
    used.sort_unstable();
    assert_eq!(used, [after(1), after(5)], "the first was looked at before");
}
