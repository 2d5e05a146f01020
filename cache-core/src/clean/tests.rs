use super::*;
use crate::{BlobMeta, BlobName, Digest, Key};

const HOUR: Duration = Duration::from_secs(3600);

fn entry(name: &str, bytes: u64, modified: SystemTime, accessed: Option<SystemTime>) -> EntryMeta {
    let mut meta = EntryMeta::new(Key::from(Digest::of(name)), bytes).with_blobs(vec![BlobMeta::new(
        BlobName::DATA,
        bytes,
        Some(modified),
    )]);
    meta.last_accessed = accessed;
    meta
}

fn names(victims: &[EntryMeta]) -> Vec<Digest> {
    victims.iter().map(|victim| victim.key.digest).collect()
}

#[test]
fn an_unset_constraint_removes_nothing() {
    let now = SystemTime::UNIX_EPOCH + 100 * HOUR;
    let entries = vec![entry("old", u64::MAX / 2, SystemTime::UNIX_EPOCH, None)];
    assert_eq!(CleanPolicy::default().victims(entries, now), []);
}

#[test]
fn outdated_entries_go_first_then_the_least_recently_used() {
    let now = SystemTime::UNIX_EPOCH + 100 * HOUR;
    let entries = || {
        vec![
            entry("read lately", 10, now - 9 * HOUR, Some(now - HOUR)),
            entry("outdated but read", 10, now - 20 * HOUR, Some(now)),
            entry("never read", 10, now - 3 * HOUR, None),
            entry("from the future", 10, now + HOUR, None),
        ]
    };
    let by_age = CleanPolicy::default().with_max_age(10 * HOUR).victims(entries(), now);
    assert_eq!(names(&by_age), [Digest::of("outdated but read")]);
    let both = CleanPolicy::default().with_max_age(10 * HOUR).with_max_bytes(20).victims(entries(), now);
    assert_eq!(names(&both), [Digest::of("outdated but read"), Digest::of("never read")]);
    let by_size = CleanPolicy::default().with_max_bytes(0).victims(entries(), now);
    assert_eq!(by_size.len(), 4);
}
