use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use xxhash_rust::xxh3::Xxh3;

use crate::{BlobName, Key};

/// The lengths of contents by what the store below tells of them, so that asking for them is no access.
#[derive(Debug, Default)]
pub(super) struct Sizes(Mutex<Generations>);

/// Whenever the younger generation is full, the older one is forgotten.
#[derive(Debug, Default)]
struct Generations {
    younger: HashMap<u128, Size>,
    older: HashMap<u128, Size>,
}

const GENERATION: usize = 1 << 15;

#[derive(Clone, Copy, Debug)]
struct Size {
    stored: u64,
    /// Not known from when a blob is written or read to when it is asked for.
    created: Option<SystemTime>,
    len: u64,
}

fn id(key: &Key, blob: &BlobName) -> u128 {
    let mut id = Xxh3::new();
    id.update(key.digest.as_bytes());
    id.update(key.namespace.encoded().as_bytes());
    id.update(&[0]);
    id.update(blob.as_str().as_bytes());
    id.digest128()
}

/// A write that is under way. No blob is stored in so many bytes.
const WRITING: u64 = u64::MAX;

impl Sizes {
    /// Keeps what a read has found.
    pub(super) fn learn(&self, key: &Key, blob: &BlobName, stored: u64, len: u64) {
        self.keep(id(key, blob), Size { stored, created: None, len });
    }

    /// Forgets a blob that is about to be written; the ticket is for [`written`](Self::written).
    pub(super) fn writing(&self, key: &Key, blob: &BlobName) -> u64 {
        let ticket = fastrand::u64(..);
        self.keep(id(key, blob), Size { stored: WRITING, created: None, len: ticket });
        ticket
    }

    /// Keeps what was written, if nobody else has written the blob or read it meanwhile: nobody knows
    /// then which of them came last.
    pub(super) fn written(&self, key: &Key, blob: &BlobName, ticket: u64, size: Option<(u64, u64)>) {
        let id = id(key, blob);
        let mine = self.find(id).is_some_and(|size| size.stored == WRITING && size.len == ticket);
        match size {
            Some((stored, len)) if mine => self.keep(id, Size { stored, created: None, len }),
            _ => self.keep(id, Size { stored: WRITING, created: None, len: 0 }),
        }
    }

    fn keep(&self, id: u128, size: Size) {
        let forgotten = {
            let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            generations.younger.insert(id, size);
            if generations.younger.len() < GENERATION {
                return;
            }
            let full = mem::take(&mut generations.younger);
            mem::replace(&mut generations.older, full)
        };
        drop(forgotten);
    }

    /// The length of what is stored in so many bytes since then.
    pub(super) fn of(
        &self,
        key: &Key,
        blob: &BlobName,
        stored: u64,
        created: Option<SystemTime>,
    ) -> Option<u64> {
        let id = id(key, blob);
        let found = self.find(id)?;
        if found.stored != stored || (found.created.is_some() && found.created != created) {
            return None;
        }
        if found.created.is_none() && created.is_some() {
            self.keep(id, Size { created, ..found });
        }
        Some(found.len)
    }

    fn find(&self, id: u128) -> Option<Size> {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.younger.get(&id).or_else(|| generations.older.get(&id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Digest;

    const DATA: BlobName = BlobName::DATA;

    #[test]
    fn length_is_known_only_of_the_same_stored_bytes_and_time() {
        let (sizes, key) = (Sizes::default(), Key::from(Digest::of("k")));
        let now = Some(SystemTime::UNIX_EPOCH);
        let later = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(sizes.of(&key, &DATA, 10, now), None);
        sizes.learn(&key, &DATA, 10, 100);
        assert_eq!(sizes.of(&key, &DATA, 11, now), None);
        assert_eq!(sizes.of(&Key::from(Digest::of("l")), &DATA, 10, now), None);
        assert_eq!(sizes.of(&key, &BlobName::new("log").unwrap(), 10, now), None);
        assert_eq!(sizes.of(&key, &DATA, 10, now), Some(100));
        assert_eq!(sizes.of(&key, &DATA, 10, later), None);
        assert_eq!(sizes.of(&key, &DATA, 10, now), Some(100));
    }

    #[test]
    fn length_of_writes_that_race_is_unknown() {
        let (sizes, key) = (Sizes::default(), Key::from(Digest::of("k")));
        sizes.learn(&key, &DATA, 10, 100);
        let (one, other) = (sizes.writing(&key, &DATA), sizes.writing(&key, &DATA));
        assert_eq!(sizes.of(&key, &DATA, 10, None), None);
        sizes.written(&key, &DATA, one, Some((10, 200)));
        assert_eq!(sizes.of(&key, &DATA, 10, None), None);
        sizes.written(&key, &DATA, other, Some((10, 300)));
        assert_eq!(sizes.of(&key, &DATA, 10, None), None);
        let alone = sizes.writing(&key, &DATA);
        sizes.written(&key, &DATA, alone, Some((10, 400)));
        assert_eq!(sizes.of(&key, &DATA, 10, None), Some(400));
        let failed = sizes.writing(&key, &DATA);
        sizes.written(&key, &DATA, failed, None);
        assert_eq!(sizes.of(&key, &DATA, 10, None), None);
    }

    #[test]
    fn lengths_are_kept_in_bounded_memory() {
        let (sizes, first) = (Sizes::default(), Key::from(Digest::of("first")));
        sizes.learn(&first, &DATA, 10, 100);
        for number in 0..2 * GENERATION {
            sizes.keep(number as u128, Size { stored: 1, created: None, len: 1 });
        }
        assert_eq!(sizes.of(&first, &DATA, 10, None), None);
        assert_eq!(sizes.find(2 * GENERATION as u128 - 1).map(|size| size.len), Some(1));
        let generations = sizes.0.lock().unwrap();
        assert!(generations.younger.len() + generations.older.len() <= 2 * GENERATION);
    }
}
