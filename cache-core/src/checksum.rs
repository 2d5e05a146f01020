use std::fmt;

use twox_hash::XxHash3_128;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Blobs are verified in blocks of this many bytes.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// The checksum of a blob's content, the same wherever the blob lies.
///
/// It is the xxh3-128 of the length (u64, little endian) and of the xxh3-128 (little endian) of each
/// 64 KiB block. It finds damage, not tampering. Its text is 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(u128);

impl Checksum {
    /// The checksum of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let mut blocks = BlockSums::default();
        blocks.update(content);
        blocks.finish().checksum()
    }

    /// The checksum of a content of `len` bytes whose block sums are `table`.
    pub(crate) fn of_table(len: u64, table: &[u8]) -> Self {
        // Of one block, most often.
        let mut short = [0; 24];
        let (len_place, table_place) = short.split_at_mut(8);
        len_place.copy_from_slice(&len.to_le_bytes());
        if table.len() == table_place.len() {
            table_place.copy_from_slice(table);
            return Self(xxh3_128(&short));
        }
        let mut hash = Xxh3::new();
        hash.update(&len.to_le_bytes());
        hash.update(table);
        Self(hash.digest128())
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    pub(crate) fn from_le_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

/// The sum of one block.
pub(crate) fn block_sum(block: &[u8]) -> [u8; 16] {
    // By the widest instructions that this processor has; the other crate takes those of the build.
    XxHash3_128::oneshot(block).to_le_bytes()
}

/// Cuts a content into blocks while it streams by.
#[derive(Default)]
pub(crate) struct BlockSums {
    len: u64,
    table: Vec<u8>,
    open: Option<Box<Xxh3>>,
    in_open: usize,
}

/// The finished sums of a content.
pub(crate) struct BlockTable {
    pub(crate) len: u64,
    pub(crate) table: Vec<u8>,
}

impl BlockTable {
    pub(crate) fn checksum(&self) -> Checksum {
        Checksum::of_table(self.len, &self.table)
    }
}

impl BlockSums {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.open.is_none() && bytes.len() >= BLOCK_BYTES {
                let (block, rest) = bytes.split_at(BLOCK_BYTES);
                self.table.extend_from_slice(&block_sum(block));
                bytes = rest;
                continue;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.in_open));
            self.open.get_or_insert_default().update(part);
            self.in_open += part.len();
            bytes = rest;
            if self.in_open == BLOCK_BYTES {
                self.close_block();
            }
        }
    }

    fn close_block(&mut self) {
        if let Some(open) = self.open.take() {
            self.table.extend_from_slice(&open.digest128().to_le_bytes());
        }
        self.in_open = 0;
    }

    pub(crate) fn finish(mut self) -> BlockTable {
        self.close_block();
        BlockTable { len: self.len, table: self.table }
    }
}
