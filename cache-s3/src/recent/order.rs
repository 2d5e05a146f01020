use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use cache_core::{EntryMeta, Key};

/// How long entries can be of one time in a listing, which S3 tells in whole seconds.
const TIED: Duration = Duration::from_secs(3);

/// The order in which this process has put its latest entries.
#[derive(Debug, Default)]
pub(super) struct Order {
    next: u64,
    ranks: HashMap<Key, u64>,
    puts: VecDeque<(Instant, u64, Key)>,
}

impl Order {
    pub(super) fn put(&mut self, key: &Key) {
        let now = Instant::now();
        while self.puts.front().is_some_and(|(put, ..)| now.duration_since(*put) > TIED) {
            let Some((_, rank, old)) = self.puts.pop_front() else { break };
            if self.ranks.get(&old) == Some(&rank) {
                self.ranks.remove(&old);
            }
        }
        self.next += 1;
        self.ranks.insert(key.clone(), self.next);
        self.puts.push_back((now, self.next, key.clone()));
    }

    /// Adds some nanoseconds to the times of the latest, the more the later.
    pub(super) fn tell_apart(&self, entries: &mut [EntryMeta]) {
        let first = self.puts.front().map_or(0, |(_, rank, _)| *rank);
        for entry in entries {
            if let (Some(rank), Some(modified)) = (self.ranks.get(&entry.key), entry.modified) {
                entry.modified =
                    modified.checked_add(Duration::from_nanos(rank - first + 1)).or(Some(modified));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use cache_core::Digest;

    use super::*;

    fn key(name: &str) -> Key {
        Key::from(Digest::of(name))
    }

    fn listed(names: &[&str], modified: Option<SystemTime>) -> Vec<EntryMeta> {
        let entry = |name: &&str| {
            let mut entry = EntryMeta::new(key(name), 1);
            entry.modified = modified;
            entry
        };
        names.iter().map(entry).collect()
    }

    fn times(entries: &[EntryMeta]) -> Vec<SystemTime> {
        entries.iter().map(|entry| entry.modified.unwrap()).collect()
    }

    #[test]
    fn entries_of_one_second_are_as_new_as_they_were_put() {
        let mut order = Order::default();
        ["a", "b", "c", "a"].into_iter().for_each(|name| order.put(&key(name)));
        let mut entries = listed(&["a", "b", "c"], Some(UNIX_EPOCH));
        order.tell_apart(&mut entries);
        let times = times(&entries);
        assert!(times[1] < times[2] && times[2] < times[0], "{times:?}");
        assert!(times.iter().all(|time| *time < UNIX_EPOCH + Duration::from_secs(1)));
    }

    #[test]
    fn what_others_put_keeps_its_time() {
        let mut order = Order::default();
        order.put(&key("own"));
        let mut entries = listed(&["other"], Some(UNIX_EPOCH));
        entries.extend(listed(&["own"], None));
        order.tell_apart(&mut entries);
        assert_eq!(entries.iter().map(|entry| entry.modified).collect::<Vec<_>>(), [Some(UNIX_EPOCH), None]);
    }

    #[test]
    fn what_was_put_long_ago_is_forgotten() {
        let mut order = Order::default();
        ["old", "again", "new"].into_iter().for_each(|name| order.put(&key(name)));
        order.put(&key("again"));
        for (put, ..) in order.puts.iter_mut().take(3) {
            *put = put.checked_sub(TIED * 2).unwrap();
        }
        order.put(&key("last"));
        assert_eq!(order.puts.len(), 2);
        assert_eq!(order.ranks.len(), 2);
        let mut entries = listed(&["old", "again", "last"], Some(UNIX_EPOCH));
        order.tell_apart(&mut entries);
        let times = times(&entries);
        assert!(times[0] == UNIX_EPOCH && times[0] < times[1] && times[1] < times[2], "{times:?}");
    }
}
