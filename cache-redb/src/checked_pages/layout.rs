//! Where pages lie that tell of others, and what they are to contain: version 3 of the format, as far as that takes.
//!
//! <https://github.com/cberner/redb/blob/master/docs/design.md>

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128;

/// The header with its two commits.
pub(super) const HEADER: usize = 320;
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const VERSION: u8 = 3;
/// Bits of the byte behind the magic number: the second commit is the last one, the file was not closed, and the last
/// commit was durable before it was called the last.
const SECOND: u8 = 1;
const UNCLOSED: u8 = 2;
const TWO_PHASES: u8 = 4;

/// The least page. Others are as long as so many of it as a power of two tells.
const PAGE: u64 = 4096;
/// No region has more of them.
const REGION_PAGES: u64 = 1 << 20;
const LEAF: u8 = 1;
pub(super) const BRANCH: u8 = 2;
/// A table without several values of a key.
const TABLE: u8 = 3;
/// No tree has more branches one upon the other.
pub(super) const DEEPEST: u8 = 64;

/// How pages are numbered, and where the file ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    len: u64,
    region_header_pages: u64,
    region_pages: u64,
}

/// A page as what refers to it tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PageRef {
    pub(super) offset: u64,
    pub(super) len: usize,
    /// How many branches lie one upon the other down to a leaf, in a tree of ours; `None` if that is not known.
    pub(super) height: Option<u8>,
    checksum: u128,
    rows: Rows,
}

/// What the rows of a tree are, and how they lie in its pages.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rows {
    /// The lengths of all keys and of all values, if they have the same.
    key: Option<usize>,
    value: Option<usize>,
    /// Whether they are the definitions of tables.
    are_tables: bool,
    /// Whether they are in a table of ours.
    are_ours: bool,
}

/// The trees of the last commit: of the database's own tables, and of ours. `None` if the header does not tell, or if the
/// database does not know yet which commit is the last one that is whole.
pub(super) fn roots(header: &[u8; HEADER], len: u64) -> Option<(Geometry, Vec<PageRef>)> {
    let flags = byte(header, MAGIC.len())?;
    if !header.starts_with(MAGIC) || flags & UNCLOSED != 0 && flags & TWO_PHASES == 0 {
        return None;
    }
    let commit: [u8; 128] = array(header, if flags & SECOND == 0 { 64 } else { 192 })?;
    let (told, checksum) = commit.split_last_chunk::<16>()?;
    if byte(told, 0)? != VERSION || xxh3_128(told) != u128::from_le_bytes(*checksum) {
        return None;
    }
    let number = |at| number(header, at).map(u64::from);
    let geometry = Geometry { len, region_header_pages: number(16)?, region_pages: number(20)? };
    if number(12)? != PAGE || geometry.region_header_pages.max(geometry.region_pages) > REGION_PAGES {
        return None;
    }
    let root = |is_there: usize, at: usize, own: bool| {
        let rows = Rows { key: None, value: None, are_tables: true, are_ours: !own };
        let root = geometry.page(array(told, at)?, array(told, at + 8)?, rows)?;
        (byte(told, is_there)? != 0).then_some(PageRef { height: Some(0), ..root })
    };
    Some((geometry, [root(1, 8, false), root(2, 40, true)].into_iter().flatten().collect()))
}

impl Geometry {
    /// The page of this number, if the file is so long.
    fn page(&self, number: [u8; 8], checksum: [u8; 16], rows: Rows) -> Option<PageRef> {
        let number = u64::from_le_bytes(number);
        let order = number >> 59;
        let (region, index) = (number >> 20 & 0xF_FFFF, number & 0xF_FFFF >> order);
        let len = PAGE << order;
        let before = 1 + self.region_header_pages + region * (self.region_header_pages + self.region_pages);
        let offset = before * PAGE + index * len;
        if offset + len > self.len {
            return None;
        }
        let checksum = u128::from_le_bytes(checksum);
        Some(PageRef { offset, len: usize::try_from(len).ok()?, height: None, checksum, rows })
    }
}

impl PageRef {
    /// Whether these are the bytes that are to be there.
    pub(super) fn is_right(&self, page: &[u8]) -> bool {
        let used = self.used(page).and_then(|used| page.get(..used));
        used.is_some_and(|used| xxh3_128(used) == self.checksum)
    }

    pub(super) fn of_height(self, height: Option<u8>) -> Self {
        Self { height, ..self }
    }

    /// Whether it is of a table of the database's own, or tells of tables.
    pub(super) fn is_own(&self) -> bool {
        self.rows.are_tables || !self.rows.are_ours
    }

    /// Whether it is a leaf of ours.
    pub(super) fn is_unchecked(&self) -> bool {
        !self.is_own() && self.height == Some(0)
    }

    /// Whether it is a branch of ours that refers to branches.
    pub(super) fn has_branches(&self) -> bool {
        !self.is_own() && self.height.is_some_and(|height| height > 1)
    }

    /// The pages that this one, which is right, refers to; if it is known to be just above leaves of ours, none.
    pub(super) fn children(&self, geometry: &Geometry, page: &[u8]) -> Vec<PageRef> {
        let Some(count) = count(page) else { return Vec::new() };
        let height = match self.height {
            _ if self.is_own() => Some(0),
            Some(0 | 1) => return Vec::new(),
            height => height.map(|height| height - 1),
        };
        match byte(page, 0) {
            Some(BRANCH) => (0..=count)
                .filter_map(|nth| {
                    let number = array(page, 8 + 16 * (count + 1) + 8 * nth)?;
                    Some(PageRef { height, ..geometry.page(number, array(page, 8 + 16 * nth)?, self.rows)? })
                })
                .collect(),
            Some(LEAF) if self.rows.are_tables => (0..count)
                .filter_map(|nth| self.table(geometry, page.get(self.value(page, count, nth)?)?))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The tree of a table, if there is anything in it.
    fn table(&self, geometry: &Geometry, definition: &[u8]) -> Option<PageRef> {
        if byte(definition, 0)? != TABLE || byte(definition, 9)? == 0 {
            return None;
        }
        let fixed = |at: usize| Some((byte(definition, at)? != 0).then_some(end(definition, at + 1)?));
        let rows =
            Rows { key: fixed(42)?, value: fixed(47)?, are_tables: false, are_ours: self.rows.are_ours };
        let root = geometry.page(array(definition, 10)?, array(definition, 18)?, rows)?;
        Some(PageRef { height: (!rows.are_ours).then_some(0), ..root })
    }

    /// How many bytes the checksum is of.
    pub(super) fn used(&self, page: &[u8]) -> Option<usize> {
        let count = count(page)?;
        let last = count.checked_sub(1)?;
        match byte(page, 0)? {
            LEAF => Some(self.value(page, count, last)?.end),
            BRANCH => {
                let keys = 8 + 24 * (count + 1);
                match self.rows.key {
                    Some(len) => keys.checked_add(len.checked_mul(count)?),
                    None => end(page, keys + 4 * last),
                }
            }
            _ => None,
        }
    }

    /// Where in a leaf a value lies.
    fn value(&self, page: &[u8], count: usize, nth: usize) -> Option<Range<usize>> {
        let Rows { key, value, .. } = self.rows;
        let ends = 4 + if key.is_none() { 4 * count } else { 0 };
        let keys = ends + if value.is_none() { 4 * count } else { 0 };
        let keys_end = match key {
            Some(len) => keys.checked_add(len.checked_mul(count)?)?,
            None => end(page, ends.checked_sub(4)?)?,
        };
        let end_of = |nth: usize| match value {
            Some(len) => keys_end.checked_add(len.checked_mul(nth + 1)?),
            None => end(page, ends + 4 * nth),
        };
        let start = nth.checked_sub(1).map_or(Some(keys_end), end_of)?;
        Some(start..end_of(nth)?)
    }
}

/// How many rows a leaf has, or keys a branch.
fn count(page: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(array(page, 2)?)))
}

fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(array(bytes, at)?))
}

/// A number that is a place, or a length.
fn end(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(number(bytes, at)?).ok()
}

fn array<const LEN: usize>(bytes: &[u8], at: usize) -> Option<[u8; LEN]> {
    bytes.get(at..)?.first_chunk().copied()
}
