use std::hash::{BuildHasher, Hasher};

/// Takes 8 bytes of a digest for its hash: it is one already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DigestHash;

/// The hasher of [`DigestHash`].
#[derive(Debug, Default)]
pub(crate) struct FirstBytes(u64);

impl BuildHasher for DigestHash {
    type Hasher = FirstBytes;

    fn build_hasher(&self) -> FirstBytes {
        FirstBytes::default()
    }
}

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length that goes before a slice.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
