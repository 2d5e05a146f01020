//! Damaged entries, kept for somebody to look at: `.quarantine/<when>-<digest>-<random>[-<namespace>]`.
//!
//! They are entries no more: nothing lists, reads or counts them. Who brings one in drops the oldest until
//! the rest is within the limits, so no lock is needed between processes: all of them agree on which are
//! the oldest, and what is gone already is fine.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, SystemTime},
};

use cache_core::{Digest, Key};
use rustix::{
    fs::{AtFlags, FileType, Mode, openat, renameat, statat},
    io::Errno,
};

use crate::{
    at::At,
    disk::Inner,
    tree::{DIR_FLAGS, names, random_name, remove_tree},
};

pub(crate) const QUARANTINE: &str = ".quarantine";

/// The longest file name.
const NAME_BYTES: usize = 255;
/// As `20261121T140500.123Z`.
const WHEN_BYTES: usize = 20;
const DIGEST_BYTES: usize = 64;
const RANDOM_BYTES: usize = 8;
/// The last instant that has a name: the end of the year 9999.
const LAST: Duration = Duration::from_millis(253_402_300_799_999);

/// Moves a damaged entry out of its shard, whose lock is held. If it cannot be moved, or is not to be
/// kept, the answer is false and it is where it was.
pub(crate) fn take_in(inner: &Inner, shard: &OwnedFd, at: At<'_>) -> bool {
    if inner.options.quarantine_entries == 0 || inner.options.quarantine_bytes == 0 {
        return false;
    }
    let Ok(random) = random_name(at.operation) else { return false };
    let Ok(dir) = inner.root.make_dir(QUARANTINE, at.operation) else { return false };
    let name = name_of(at.key, inner.clock.now(), &random);
    renameat(shard, at.key.digest.to_string(), &dir, name).is_ok()
}

/// Drops the oldest until the rest is within the limits. What cannot be dropped now is tried again when
/// the next one comes in.
pub(crate) fn keep_limits(inner: &Inner) {
    let Ok(Some(dir)) = inner.root.open_dir(QUARANTINE) else { return };
    let Ok(mut kept) = entries(dir.as_fd()) else { return };
    // By name is by age. What is from the future came before the clock was set back.
    let now = when(inner.clock.now());
    let is_past = |name: &String| name.get(..WHEN_BYTES).is_some_and(|when| when <= now.as_str());
    kept.sort_unstable_by(|a, b| (is_past(b), b).cmp(&(is_past(a), a)));
    let (mut entries, mut bytes) = (inner.options.quarantine_entries, inner.options.quarantine_bytes);
    let most = bytes;
    for name in kept {
        let has = tree_bytes(dir.as_fd(), &name);
        match (entries.checked_sub(1), bytes.checked_sub(has)) {
            (Some(rest), Some(room)) => (entries, bytes) = (rest, room),
            // One that is too large for all of it drives out no other.
            (Some(_), None) if has > most => _ = remove_tree(dir.as_fd(), name.as_str()),
            _ => {
                (entries, bytes) = (0, 0);
                _ = remove_tree(dir.as_fd(), name.as_str());
            }
        }
    }
}

/// The names of all that is in quarantine. Other names are strangers.
pub(crate) fn entries(dir: BorrowedFd<'_>) -> Result<Vec<String>, Errno> {
    Ok(names(dir)?.into_iter().filter(|name| is_name(name)).collect())
}

/// What an entry is called in quarantine: when it came, which it was, and where, as far as there is room.
fn name_of(key: &Key, now: SystemTime, random: &str) -> String {
    let random = random.get(..RANDOM_BYTES).unwrap_or_default();
    let mut name = format!("{}-{}-{random}", when(now), key.digest);
    if !key.namespace.is_root() {
        name.push('-');
        name.push_str(&key.namespace.encoded().replace('/', "+"));
        // Encoded names are ASCII.
        name.truncate(NAME_BYTES);
    }
    name
}

fn when(now: SystemTime) -> String {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
    let when = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string();
    when.chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

/// Whether [`name_of`] may have made this.
fn is_name(name: &str) -> bool {
    let part = |from: usize, len: usize| name.get(from..from + len).unwrap_or_default();
    let digest_at = WHEN_BYTES + 1;
    let random_at = digest_at + DIGEST_BYTES + 1;
    let end = random_at + RANDOM_BYTES;
    let when_fits = part(0, WHEN_BYTES).char_indices().all(|(at, c)| match at {
        8 => c == 'T',
        15 => c == '.',
        19 => c == 'Z',
        _ => c.is_ascii_digit(),
    });
    when_fits
        && part(WHEN_BYTES, 1) == "-"
        && part(digest_at, DIGEST_BYTES).parse::<Digest>().is_ok()
        && part(random_at - 1, 1) == "-"
        && part(random_at, RANDOM_BYTES).bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && part(random_at, RANDOM_BYTES).len() == RANDOM_BYTES
        && (name.len() == end || part(end, 2) == "-~")
}

/// The bytes of all files below a name; what cannot be looked at counts as nothing.
fn tree_bytes(parent: BorrowedFd<'_>, name: &str) -> u64 {
    let Ok(dir) = openat(parent, name, DIR_FLAGS, Mode::empty()) else { return 0 };
    let Ok(names) = names(dir.as_fd()) else { return 0 };
    names.iter().fold(0, |sum: u64, name| {
        let bytes = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                tree_bytes(dir.as_fd(), name)
            }
            Ok(stat) => u64::try_from(stat.st_size).unwrap_or(0),
            Err(_) => 0,
        };
        sum.saturating_add(bytes)
    })
}

#[cfg(test)]
mod tests;
