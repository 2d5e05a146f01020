/// Sightings after which a sketch forgets half, for each of its words.
const SAMPLE: usize = 5;
const FEWEST_WORDS: usize = 16;
/// Room for the first sighting of a key: one bit in each third of a small Bloom filter.
const DOOR_BITS: u32 = 5;
const DOOR_MASK: u64 = 0x0000_0000_FFFF_FFFF;
/// The upper half of a word: eight counters of four bits, of which a key has two.
const COUNTER_MAX: u8 = 15;
const HALVED: u64 = 0x7777_7777_0000_0000;

/// How often keys were asked for that are not in the store any more, approximately.
///
/// It may answer too much for a key whose bits others share, never too little before it forgets. A key
/// touches one word. The first sighting takes bits of a filter, the next ones take counters, so that keys
/// seen once, which are the most, leave the counters to the others.
#[derive(Debug)]
pub(super) struct Sketch {
    words: Vec<u64>,
    sightings: usize,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { words: vec![0; FEWEST_WORDS], sightings: 0 }
    }
}

impl Sketch {
    /// What it has to answer when it knows nothing better: 0 to 16.
    pub(super) fn estimate(&self, hash: u64) -> u8 {
        let hash = spread(hash);
        let word = self.words.get(self.slot(hash)).copied().unwrap_or(0);
        let door = door(hash);
        if word & door == door {
            1 + counters(hash).map(|at| counter(word, at)).into_iter().min().unwrap_or(0)
        } else {
            0
        }
    }

    /// A key was seen so often at least.
    pub(super) fn raise(&mut self, hash: u64, to: u8) {
        let hash = spread(hash);
        let slot = self.slot(hash);
        let Some(word) = self.words.get_mut(slot) else { return };
        *word |= door(hash);
        let count = to.saturating_sub(1).min(COUNTER_MAX);
        for at in counters(hash) {
            if counter(*word, at) < count {
                *word = *word & !(u64::from(COUNTER_MAX) << at) | u64::from(count) << at;
            }
        }
    }

    /// One more key comes in to a store that then holds `held`; grows with it, and forgets in time.
    pub(super) fn admit(&mut self, held: usize) {
        while self.words.len() < held {
            // A key's word has its copy where the longer table looks for it.
            self.words.extend_from_within(..);
        }
        self.sightings += 1;
        if self.sightings >= SAMPLE * self.words.len() {
            self.sightings = 0;
            self.halve();
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    fn halve(&mut self) {
        for word in &mut self.words {
            // Whoever had a counter was seen more than once, so its bits in the filter go as well: the
            // counters alone say nothing.
            *word = (*word >> 1) & HALVED;
        }
    }

    /// The number of words is a power of two.
    fn slot(&self, hash: u64) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the mask is narrower")]
        let slot = hash as usize & (self.words.len() - 1);
        slot
    }
}

/// Shards take bits of the hash, too; none may be the same in all keys here.
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 29)
}

fn door(hash: u64) -> u64 {
    let bit = |nth: u32| 1_u64 << ((hash >> (32 + nth * DOOR_BITS)) & 31);
    (bit(0) | bit(1) | bit(2)) & DOOR_MASK
}

fn counters(hash: u64) -> [u32; 2] {
    let pick = |shift: u32| u32::try_from((hash >> shift) & 3).unwrap_or(0) * 4;
    [32 + pick(47), 48 + pick(49)]
}

fn counter(word: u64, at: u32) -> u8 {
    u8::try_from((word >> at) & u64::from(COUNTER_MAX)).unwrap_or(COUNTER_MAX)
}

#[cfg(test)]
mod tests;
