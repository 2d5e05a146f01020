use cache_core::Usage;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What the entries of a namespace take, without those below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) stored: u64,
}

impl Totals {
    pub(crate) const LEN: usize = 32;

    pub(crate) fn add(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.stored = self.stored.saturating_add(other.stored);
    }

    pub(crate) fn take(&mut self, other: Self) {
        self.entries = self.entries.saturating_sub(other.entries);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.stored = self.stored.saturating_sub(other.stored);
    }

    /// The three numbers, and the xxh3-64 of them seeded with that of the row's key.
    pub(crate) fn encode(&self, key: &[u8]) -> [u8; Self::LEN] {
        let mut row = [0; Self::LEN];
        let (numbers, sum) = row.split_at_mut(24);
        for (place, number) in numbers.chunks_mut(8).zip([self.entries, self.bytes, self.stored]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        sum.copy_from_slice(&xxh3_64_with_seed(numbers, xxh3_64_with_seed(key, 0)).to_le_bytes());
        row
    }

    /// `None` if the row is damaged.
    pub(crate) fn decode(key: &[u8], row: &[u8]) -> Option<Self> {
        let mut numbers = row.chunks_exact(8).map(|number| number.try_into().map(u64::from_le_bytes));
        let mut next = || numbers.next()?.ok();
        let totals = Self { entries: next()?, bytes: next()?, stored: next()? };
        (totals.encode(key) == row).then_some(totals)
    }
}

impl From<Totals> for Usage {
    fn from(totals: Totals) -> Self {
        let mut usage = Self::default();
        (usage.entries, usage.bytes, usage.stored_bytes) = (totals.entries, totals.bytes, totals.stored);
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_totals_is_of_its_namespace_and_whole() {
        let totals = Totals { entries: 1, bytes: 2, stored: u64::MAX };
        let row = totals.encode(b"~a");
        assert_eq!(Totals::decode(b"~a", &row), Some(totals));
        assert_eq!(Totals::decode(b"~b", &row), None);
        assert_eq!(Totals::decode(b"~a", &row[..31]), None);
        assert_eq!(Totals::decode(b"~a", &[&row[..], &[0]].concat()), None);
        for bit in 0..row.len() * 8 {
            let mut flipped = row;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Totals::decode(b"~a", &flipped), None);
        }
    }
}
