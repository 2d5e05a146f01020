//! What a file is that the database could not open.

use std::io::{self, Read, Seek, SeekFrom};

use xxhash_rust::xxh3::xxh3_128;

const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// The two commit slots, each with its sum at the end, behind the first 64 bytes.
const HEADER_BYTES: usize = 64 + 2 * SLOT_BYTES;
const SLOT_BYTES: usize = 128;
const SLOT_SUM_BYTES: usize = 16;
/// The version of the database's own format that a slot begins with.
const REDB_VERSION: u8 = 3;
/// More than the database makes a new file.
const MOST_NEW_BYTES: u64 = 16 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// A database, as far as its beginning tells, or the beginning of one. It may be damaged.
    Database,
    /// A database of another version of the database's own format, undamaged.
    OtherVersion(u8),
    /// A database that was not made to the end: nothing was ever in it.
    HalfMade,
    /// Something else.
    Stranger,
}

impl Nature {
    /// Looks at a file.
    pub(crate) fn of(mut file: impl Read + Seek) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header)?;
        let magic = header.get(..MAGIC.len()).unwrap_or(&header);
        if MAGIC.starts_with(magic) {
            return Ok(other_version(&header).map_or(Self::Database, Self::OtherVersion));
        }
        // The database writes its magic last.
        if magic.iter().all(|byte| *byte == 0) && rest_is_blank(file)? {
            return Ok(Self::HalfMade);
        }
        // With a slot that is whole it is the magic that is damaged.
        Ok(if versions(&header).next().is_some() { Self::Database } else { Self::Stranger })
    }
}

fn other_version(header: &[u8]) -> Option<u8> {
    versions(header).find(|version| *version != REDB_VERSION)
}

/// Those that the slots tell which are not damaged.
fn versions(header: &[u8]) -> impl Iterator<Item = u8> {
    let slots = header.get(HEADER_BYTES - 2 * SLOT_BYTES..HEADER_BYTES).unwrap_or_default();
    slots.chunks_exact(SLOT_BYTES).filter_map(|slot| {
        let (content, sum) = slot.split_at_checked(SLOT_BYTES - SLOT_SUM_BYTES)?;
        (sum == xxh3_128(content).to_le_bytes()).then(|| content.first().copied())?
    })
}

/// Whether there is nothing in a file, from where it is read on, but zeros.
fn rest_is_blank(mut file: impl Read + Seek) -> io::Result<bool> {
    let at = file.stream_position()?;
    if file.seek(SeekFrom::End(0))? > MOST_NEW_BYTES {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(at))?;
    let mut buffer = [0; 8 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(read) if buffer.iter().take(read).all(|byte| *byte == 0) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
