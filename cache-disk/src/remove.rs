//! How an entry goes away: by one rename, whole.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use cache_core::{Key, Result};
use rustix::{
    fs::{AtFlags, Mode, openat, renameat, statat, unlinkat},
    io::Errno,
};

use crate::{
    at::At,
    cancel::Cancel,
    disk::Inner,
    entry_dir::{EntryDir, Version},
    index::{Held, Used},
    prune::prune,
    quarantine,
    root::shard_path,
    session::Session,
    tree::{DIR_FLAGS, lock, random_name, remove_tree, try_lock},
};

/// What may be removed. It is looked at under the locks.
#[derive(Clone, Copy)]
pub(crate) enum Only<'a> {
    /// Whatever is there.
    Any,
    /// This directory, which is damaged: it goes into quarantine, if it can.
    Damaged(&'a EntryDir),
    /// An entry that was neither written nor read since it had this version. If others hold the shard's
    /// lock, nothing is removed.
    Unchanged(Version),
    /// An entry that was not used since this was written down. If others hold the shard's lock, nothing is
    /// removed.
    Unused(Held),
    /// What is no directory.
    Strange,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// An entry with so many bytes.
    Entry(u64),
    /// There was nothing.
    Nothing,
    /// What is there was not to be removed.
    Other,
    /// It was used after the time in question, and is written down as used then.
    Used(Used),
    /// Others hold the shard's lock.
    Busy,
}

/// Removes what stands under a key.
pub(crate) fn remove(
    inner: &Inner,
    key: &Key,
    only: Only<'_>,
    operation: &'static str,
    cancel: &Cancel,
) -> Result<Removed> {
    let at = At { root: &inner.root, key, operation };
    let shard = match inner.root.open_dir(&shard_path(key)) {
        Ok(Some(shard)) => shard,
        // Behind a link or a file there is nothing of ours.
        Ok(None) | Err(Errno::LOOP | Errno::NOTDIR) => return Ok(Removed::Nothing),
        Err(error) => return Err(at.failed(error)),
    };
    if matches!(only, Only::Unchanged(_) | Only::Unused(_)) {
        if !try_lock(&shard).map_err(|error| at.failed(error))? {
            return Ok(Removed::Busy);
        }
    } else {
        lock(&shard).map_err(|error| at.failed(error))?;
    }
    // Without its record an entry can go all the same: a record without an entry is found in time.
    let mut log = inner.index.lock(&inner.root, key, operation).ok();
    let digits = key.digest.to_string();
    let stripe = inner.stripes.lock(key);
    cancel.check(operation)?;
    let bytes = match (open_entry(&shard, &digits), only) {
        (Err(Errno::NOENT), _) => return Ok(Removed::Nothing),
        (Err(Errno::LOOP | Errno::NOTDIR), Only::Any | Only::Strange) => {
            let removed = match unlinkat(&shard, &digits, AtFlags::empty()) {
                Ok(()) => Removed::Entry(0),
                Err(Errno::NOENT) => Removed::Nothing,
                Err(error) => return Err(at.failed(error)),
            };
            drop(stripe);
            drop(log);
            prune(&inner.root, key, &shard);
            return Ok(removed);
        }
        (Err(Errno::LOOP | Errno::NOTDIR), _) | (Ok(_), Only::Strange) => return Ok(Removed::Other),
        (Ok(there), Only::Damaged(this)) if !there.is(this) => return Ok(Removed::Other),
        (Ok(there), Only::Unchanged(version)) if there.version() != version => return Ok(Removed::Other),
        (Ok(_), Only::Unchanged(_)) if inner.recency.last(key).is_some() => return Ok(Removed::Other),
        (Ok(there), Only::Unused(held)) if last_used(inner, key, &there) > held.used => {
            let bytes = there.bytes().map_err(|error| at.failed(error))?;
            let used = last_used(inner, key, &there);
            let held = Held { bytes, used };
            if let Some(log) = &mut log {
                log.write(key, bytes, Some(held)).map_err(|error| at.failed(error))?;
            }
            return Ok(Removed::Used(used));
        }
        // It was not written either, so there is no need to look.
        (Ok(_), Only::Unused(held)) => held.bytes,
        (Ok(there), _) => there.bytes().unwrap_or(0),
        // Not to be opened, but perhaps to be moved.
        (Err(_), Only::Any) => 0,
        (Err(error), _) => return Err(at.failed(error)),
    };
    let quarantined = matches!(only, Only::Damaged(_)) && quarantine::take_in(inner, &shard, at);
    let trash = if quarantined { None } else { take_away(inner, &shard, &digits, at)? };
    if quarantined || trash.is_some() {
        inner.pending.forget(key);
        inner.recency.forget(key);
        inner.gone(log.as_mut(), key, bytes);
    }
    drop(stripe);
    drop(log);
    prune(&inner.root, key, &shard);
    drop(shard);
    if quarantined {
        quarantine::keep_limits(inner);
        return Ok(Removed::Entry(bytes));
    }
    Ok(trash.map_or(Removed::Nothing, |trash| {
        trash.discard();
        Removed::Entry(bytes)
    }))
}

/// When an entry was used last, by what its directory tells and by what this store has noted.
fn last_used(inner: &Inner, key: &Key, entry: &EntryDir) -> Used {
    inner.recency.last(key).map_or(entry.last_used(), |noted| noted.max(entry.last_used())).into()
}

/// Opens an entry in its shard.
pub(crate) fn open_entry(shard: &OwnedFd, digits: &str) -> Result<EntryDir, Errno> {
    EntryDir::of(openat(shard, digits, DIR_FLAGS, Mode::empty())?)
}

/// An entry that was moved out of its shard.
pub(crate) struct Trash {
    session: Arc<Session>,
    name: String,
}

impl Trash {
    /// What cannot be removed is swept with this process's directory.
    pub(crate) fn discard(self) {
        _ = remove_tree(self.session.dir(), self.name.as_str());
    }

    pub(crate) fn put_back(&self, shard: &OwnedFd, digits: &str) -> Result<(), Errno> {
        renameat(self.session.dir(), &self.name, shard.as_fd(), digits)
    }
}

/// Moves an entry out of its shard, whose lock is held; `None` if it is not there.
pub(crate) fn take_away(inner: &Inner, shard: &OwnedFd, digits: &str, at: At<'_>) -> Result<Option<Trash>> {
    let name = at.keyed(random_name(at.operation))?;
    let mut session = inner.session();
    let mut moved = renameat(shard.as_fd(), digits, session.dir(), &name);
    if moved == Err(Errno::NOENT) {
        if statat(shard, digits, AtFlags::SYMLINK_NOFOLLOW).is_err_and(|error| error == Errno::NOENT) {
            return Ok(None);
        }
        // It is the place for it that is not there: somebody emptied the directory under the open store.
        session = at.keyed(inner.renew_session(&session, at.operation))?;
        moved = renameat(shard.as_fd(), digits, session.dir(), &name);
    }
    moved.map_err(|error| at.failed(error))?;
    Ok(Some(Trash { session, name }))
}
