//! One record of a log: what became of an entry.

use std::time::{Duration, SystemTime};

use cache_core::Digest;
use xxhash_rust::xxh3::xxh3_64;

/// The bytes of a record without its namespace.
pub(crate) const FIXED: usize = 64;

const PUT: u8 = 1;
const GONE: u8 = 2;

/// What an entry holds, and when it was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) bytes: u64,
    pub(crate) used: Used,
}

/// A time of use, in nanoseconds since 1970: as exact as a file system keeps it. What is further away
/// than three centuries is as far away as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Used(pub(crate) i64);

impl From<SystemTime> for Used {
    fn from(time: SystemTime) -> Self {
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => nanos(since),
            Err(before) => -nanos(before.duration()),
        })
    }
}

/// A record: an entry is there, or (`None`) it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Encoded.
    pub(crate) namespace: &'a str,
    pub(crate) digest: Digest,
    pub(crate) held: Option<Held>,
}

impl<'a> Record<'a> {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let start = into.len();
        let (kind, held) = match self.held {
            Some(held) => (PUT, held),
            None => (GONE, Held { bytes: 0, used: Used(0) }),
        };
        // An encoded namespace has at most 512 bytes.
        let namespace = u16::try_from(self.namespace.len()).unwrap_or(u16::MAX);
        into.extend_from_slice(&[0; 8]);
        into.extend_from_slice(&[kind, 0]);
        into.extend_from_slice(&namespace.to_le_bytes());
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&held.bytes.to_le_bytes());
        into.extend_from_slice(&held.used.0.to_le_bytes());
        into.extend_from_slice(self.digest.as_bytes());
        into.extend_from_slice(self.namespace.as_bytes());
        let sum = into.get(start + 8..).map_or(0, xxh3_64);
        if let Some(place) = into.get_mut(start..start + 8) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
    }

    /// The record that `bytes` begin with, and its length; `None` if they begin with no whole one.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let namespace_len = usize::from(u16::from_le_bytes(*bytes.get(10..)?.first_chunk()?));
        let len = FIXED + namespace_len;
        let (sum, body) = bytes.get(..len)?.split_first_chunk()?;
        if xxh3_64(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let number = |at: usize| Some(*bytes.get(at..)?.first_chunk::<8>()?);
        let held = match *bytes.get(8)? {
            PUT => Some(Held {
                bytes: u64::from_le_bytes(number(16)?),
                used: Used(i64::from_le_bytes(number(24)?)),
            }),
            GONE => None,
            _ => return None,
        };
        let digest = Digest::from_bytes(*bytes.get(32..)?.first_chunk()?);
        let namespace = std::str::from_utf8(bytes.get(FIXED..len)?).ok()?;
        Some((Self { namespace, digest, held }, len))
    }
}

#[cfg(test)]
mod tests;
