//! Where an entry stands in a table, so that nobody can choose digests that all stand at one place.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use cache_core::KeyView;

/// Another one for each store.
#[derive(Debug)]
pub(crate) struct Seeds([u64; 4]);

impl Seeds {
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self([0, 1, 2, 3].map(|number: u64| random.hash_one(number)))
    }

    /// A digest is uniform already: two multiplications tell those apart that were made up.
    #[inline]
    pub(crate) fn hash(&self, key: KeyView<'_>) -> u64 {
        let mut namespace = Written(0);
        key.namespace.hash(&mut namespace);
        let (words, _) = key.digest.as_bytes().as_chunks::<8>();
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| words.get(at).map_or(0, |word| u64::from_ne_bytes(*word)));
        let [seed_a, seed_b, seed_c, seed_d] = self.0;
        folded(a ^ seed_a ^ namespace.0, b ^ seed_b) ^ folded(c ^ seed_c, d ^ seed_d)
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash that a namespace keeps.
struct Written(u64);

impl Hasher for Written {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(5) ^ u64::from(*byte);
        }
    }
}
