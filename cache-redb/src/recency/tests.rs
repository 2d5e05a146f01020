use std::time::{Duration, UNIX_EPOCH};

use cache_core::{Digest, Namespace};

use super::*;

fn key(number: u64) -> Key {
    Key::from(Digest::of(number.to_le_bytes()))
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn reads_add_up_until_they_are_written() {
    let recency = Recency::default();
    assert!(recency.is_empty());
    recency.touch(key(1).view(), 5, at(5));
    recency.touch(key(2).view(), 6, at(6));
    recency.touch(key(1).view(), 7, at(7));
    let taken = recency.take();
    assert_eq!(
        taken.iter().map(|note| (note.key.clone(), note.reads.stamp, note.reads.count)).collect::<Vec<_>>(),
        [(key(2), 6, 1), (key(1), 7, 2)]
    );
    // Those on their way count, and those that come meanwhile.
    recency.touch(key(1).view(), 8, at(8));
    assert_eq!(recency.unwritten(&key(1)), Some(Use { stamp: 8, at: at(8), count: 3 }));
    recency.written();
    assert_eq!(recency.unwritten(&key(1)), Some(Use { stamp: 8, at: at(8), count: 1 }));
    assert_eq!(recency.unwritten(&key(2)), None);
}

#[test]
fn what_could_not_be_written_is_kept() {
    let recency = Recency::default();
    recency.touch(key(1).view(), 1, at(1));
    recency.touch(key(2).view(), 2, at(2));
    assert_eq!(recency.take().len(), 2);
    recency.touch(key(1).view(), 3, at(3));
    recency.keep(&HashSet::new());
    assert_eq!(recency.unwritten(&key(1)).unwrap().count, 2);
    assert_eq!(recency.take().len(), 2);
    // Of one it turns out that it was.
    recency.keep(&HashSet::from([2]));
    assert_eq!(recency.unwritten(&key(1)).unwrap().count, 2);
    assert_eq!(recency.unwritten(&key(2)), None);
}

#[test]
fn an_entry_that_went_away_is_forgotten() {
    let recency = Recency::default();
    recency.touch(key(1).view(), 1, at(1));
    recency.take();
    recency.touch(key(1).view(), 2, at(2));
    recency.forget(&key(1));
    assert_eq!(recency.unwritten(&key(1)), None);
}

#[test]
fn many_reads_take_bounded_room_and_are_told_once() {
    let recency = Recency::default();
    let space = Namespace::root().child("a").unwrap();
    let told = (0..100_000_u64)
        .filter(|number| {
            recency.touch(Key::new(space.clone(), key(*number).digest).view(), *number, at(*number))
        })
        .count();
    assert_eq!(told, 1);
    assert_eq!(recency.take().len(), SHARDS * MOST);
}
