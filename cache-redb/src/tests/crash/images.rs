//! What a power cut may leave of writes: all that was synced, and any part of what came after.

use std::{
    collections::HashSet,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::memory_medium::{Logged, Pages};

/// What a disk writes whole.
const SECTOR: usize = 512;

/// The bytes after a crash.
pub(crate) struct Image {
    /// The crash came when so many operations had been asked for.
    pub(crate) after: usize,
    /// The how manieth image of that moment it is.
    pub(crate) way: usize,
    pub(crate) pages: Pages,
}

/// Shows `visit` different images of crashes at every moment of what was recorded, about `wanted` in all, on all
/// processors. Answers how many there were.
pub(crate) fn visit(log: &[Logged], before: &Pages, wanted: usize, visit: impl Fn(&Image) + Sync) -> usize {
    // Some moments have fewer than others.
    let ways = (wanted * 5 / 4).div_ceil(log.len().max(1)).max(2);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let visited = AtomicUsize::new(0);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (visit, visited) = (&visit, &visited);
            scope.spawn(move || {
                let mut durable = before.clone();
                let mut synced = 0;
                let mut seen = HashSet::new();
                for after in 1..=log.len() {
                    if matches!(log[after - 1], Logged::Sync) {
                        log[synced..after].iter().for_each(|logged| logged.apply(&mut durable));
                        synced = after;
                        seen.clear();
                    }
                    if after % workers != worker {
                        continue;
                    }
                    for way in 0..ways {
                        let parts = choose(&log[synced..after], after, way);
                        if !seen.insert(hash(&parts)) {
                            continue;
                        }
                        let mut pages = durable.clone();
                        parts.iter().for_each(|part| part.apply(&log[synced..after], &mut pages));
                        visit(&Image { after, way, pages });
                        visited.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    visited.into_inner()
}

/// Some sectors of a pending operation; of a change of length, all of it.
struct Part {
    operation: usize,
    sectors: Range<usize>,
}

impl Part {
    fn apply(&self, pending: &[Logged], pages: &mut Pages) {
        match &pending[self.operation] {
            Logged::Write(offset, bytes) => {
                let start = self.sectors.start * SECTOR;
                let end = bytes.len().min(self.sectors.end * SECTOR);
                pages.write(offset + start, &bytes[start..end]);
            }
            other => other.apply(pages),
        }
    }
}

fn sectors(logged: &Logged) -> usize {
    match logged {
        Logged::Write(_, bytes) => bytes.len().div_ceil(SECTOR),
        Logged::SetLen(_) | Logged::Sync => 1,
    }
}

/// Which parts of what is pending got through.
fn choose(pending: &[Logged], after: usize, way: usize) -> Vec<Part> {
    let mut random = fastrand::Rng::with_seed((after as u64) << 20 | way as u64);
    let whole = |operation: usize| Part { operation, sectors: 0..sectors(&pending[operation]) };
    let all = 0..pending.len();
    let Some(last) = pending.len().checked_sub(1) else { return Vec::new() };
    match way {
        // All, none, and the last one alone or torn.
        0 => all.map(whole).collect(),
        1 => Vec::new(),
        2 => vec![whole(last)],
        3 => {
            let torn = Part { operation: last, sectors: 0..random.usize(..sectors(&pending[last])) };
            (0..last).map(whole).chain([torn]).collect()
        }
        _ => {
            // Few, half or most of them, and in every second image each sector by itself.
            let kept = [0.1, 0.5, 0.9][way % 3];
            let is_torn = way.is_multiple_of(2);
            let mut parts = Vec::new();
            for operation in all {
                if !is_torn {
                    if random.f64() < kept {
                        parts.push(whole(operation));
                    }
                    continue;
                }
                for sector in 0..sectors(&pending[operation]) {
                    if random.f64() < kept {
                        parts.push(Part { operation, sectors: sector..sector + 1 });
                    }
                }
            }
            parts
        }
    }
}

fn hash(parts: &[Part]) -> u64 {
    let numbers = parts.iter().flat_map(|part| [part.operation, part.sectors.start, part.sectors.end]);
    xxh3_64(&numbers.flat_map(usize::to_le_bytes).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn log() -> Vec<Logged> {
        let write = |offset, byte: u8| Logged::Write(offset, vec![byte; 2 * SECTOR].into());
        vec![write(0, 1), Logged::Sync, write(0, 2), Logged::SetLen(4096), write(1024, 3), Logged::Sync]
    }

    #[test]
    fn what_was_synced_is_in_every_image_and_the_rest_in_any_part() {
        let images = Mutex::new(HashSet::new());
        let visited = visit(&log(), &Pages::default(), 600, |image| {
            let bytes = image.pages.to_vec();
            images.lock().unwrap().insert((image.after, bytes.clone()));
            if image.after >= 2 {
                assert!(
                    bytes[..2 * SECTOR].iter().all(|byte| [1, 2].contains(byte)),
                    "a synced write is lost"
                );
            }
        });
        let images = images.into_inner().unwrap();
        assert!(images.len() * 4 >= visited * 3, "{visited} images, of which {} differ", images.len());
        let torn = |(after, bytes): &(usize, Vec<u8>)| *after == 3 && bytes[0] != bytes[SECTOR];
        assert!(images.iter().any(torn), "no write is torn");
        let reordered = |(after, bytes): &(usize, Vec<u8>)| {
            *after == 5 && bytes.get(1024) == Some(&3) && bytes[..1024].iter().all(|byte| *byte == 1)
        };
        assert!(images.iter().any(reordered), "none has a later write without an earlier one");
        let at_the_end: Vec<_> = images.iter().filter(|(after, _)| *after == 6).collect();
        assert_eq!(at_the_end.len(), 1, "nothing is pending after the last sync");
    }
}
