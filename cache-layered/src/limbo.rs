//! Keys whose older value memory may drop before the newer one is below.
//!
//! A tier that evicts and finds no victim that can go refuses a put, and drops the older value. Until the newer one
//! is in the tier below, readers find neither: they must not call that a miss.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cache_core::{EntryMeta, Key};

#[derive(Clone, Debug, Default)]
pub(crate) struct Limbo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Mutex<Keys>,
    /// How often keys have left, by groups of them: so it costs a reader nothing to take note of.
    left: [AtomicU64; 64],
}

impl Default for Inner {
    fn default() -> Self {
        Self { keys: Mutex::default(), left: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

#[derive(Debug, Default)]
struct Keys {
    /// With what was known of the older value.
    inside: HashMap<Key, EntryMeta>,
    watched: HashMap<Key, Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    watchers: usize,
    /// How often the key has left since it is watched.
    left: u64,
}

/// What a reader saw of the keys that leave, before it asked the tiers.
#[derive(Debug)]
pub(crate) enum Mark {
    /// Of all keys of its group.
    Group(u64),
    /// Of its key alone.
    Key(Watching),
}

impl Limbo {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self, key: &Key) -> Option<&AtomicU64> {
        let [first, ..] = key.digest.as_bytes();
        self.0.left.get(usize::from(first % 64))
    }

    fn left(&self, key: &Key) -> u64 {
        self.group(key).map_or(0, |left| left.load(Ordering::Acquire))
    }

    /// From here on the key may be found nowhere, until the guard is dropped. Its turn is taken.
    pub(crate) fn enter(&self, key: &Key, older: EntryMeta) -> InLimbo {
        self.keys().inside.insert(key.clone(), older);
        InLimbo { limbo: self.clone(), key: key.clone() }
    }

    /// To be taken before tiers are asked.
    pub(crate) fn mark(&self, key: &Key) -> Mark {
        Mark::Group(self.left(key))
    }

    /// The same for a reader who asks again, and whom other keys must not have ask for ever.
    pub(crate) fn watch(&self, key: &Key) -> Mark {
        let mut keys = self.keys();
        let watched = keys.watched.entry(key.clone()).or_default();
        watched.watchers += 1;
        Mark::Key(Watching { limbo: self.clone(), key: key.clone(), left: watched.left })
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.keys().inside.contains_key(key)
    }

    /// The older values of keys that are between the tiers now.
    pub(crate) fn older(&self, is_wanted: impl Fn(&Key) -> bool) -> Vec<EntryMeta> {
        let keys = self.keys();
        keys.inside.iter().filter(|(key, _)| is_wanted(key)).map(|(_, older)| older.clone()).collect()
    }

    /// Whether the key may have left since the mark was taken.
    pub(crate) fn has_left(&self, key: &Key, mark: &Mark) -> bool {
        match mark {
            Mark::Group(left) => self.left(key) != *left,
            Mark::Key(watching) => {
                self.keys().watched.get(key).is_none_or(|watched| watched.left != watching.left)
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct InLimbo {
    limbo: Limbo,
    key: Key,
}

impl Drop for InLimbo {
    fn drop(&mut self) {
        // Before the key is gone, so that who does not find it there sees this.
        if let Some(left) = self.limbo.group(&self.key) {
            left.fetch_add(1, Ordering::AcqRel);
        }
        let mut keys = self.limbo.keys();
        if let Some(watched) = keys.watched.get_mut(&self.key) {
            watched.left += 1;
        }
        keys.inside.remove(&self.key);
    }
}

/// Has a key counted by itself.
#[derive(Debug)]
pub(crate) struct Watching {
    limbo: Limbo,
    key: Key,
    left: u64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut keys = self.limbo.keys();
        if let Some(watched) = keys.watched.get_mut(&self.key) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                keys.watched.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cache_core::Digest;

    use super::*;

    fn key(name: &str) -> Key {
        Key::from(Digest::of(name))
    }

    fn enter(limbo: &Limbo, name: &str) -> InLimbo {
        limbo.enter(&key(name), EntryMeta::new(key(name), 1))
    }

    #[test]
    fn a_key_that_is_watched_leaves_by_itself() {
        let limbo = Limbo::default();
        let mark = limbo.watch(&key("a"));
        drop(enter(&limbo, "b"));
        assert!(!limbo.has_left(&key("a"), &mark));
        let inside = enter(&limbo, "a");
        assert!(limbo.has(&key("a")));
        drop(inside);
        assert!(limbo.has_left(&key("a"), &mark) && !limbo.has(&key("a")));
        let again = limbo.watch(&key("a"));
        drop(mark);
        assert!(!limbo.has_left(&key("a"), &again));
        drop(again);
        assert!(limbo.keys().watched.is_empty());
    }

    #[test]
    fn a_mark_sees_its_key_leave() {
        let limbo = Limbo::default();
        let mark = limbo.mark(&key("a"));
        assert!(!limbo.has_left(&key("a"), &mark));
        drop(enter(&limbo, "a"));
        assert!(limbo.has_left(&key("a"), &mark));
    }
}
