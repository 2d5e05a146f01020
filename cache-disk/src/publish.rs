//! How a staged entry becomes visible: by one rename, whole.

use std::os::fd::{AsFd, OwnedFd};

use cache_core::{EntryMeta, Key, PutMode, Refusal, Result};
use rustix::{
    fs::{
        AtFlags, FlockOperation, Mode, OFlags, RenameFlags, flock, linkat, openat, renameat, renameat_with,
        unlinkat,
    },
    io::Errno,
};

use crate::{
    disk::Inner,
    entry_dir::{EntryDir, set_modified},
    root::{failed, shard_path},
    session::{random_name, remove_tree},
    stage::Stage,
};

/// How often a race with other writers is run again before it counts as a failure.
const TRIES: usize = 64;

/// Makes `stage` visible by `mode`, or refuses it. Answers how many bytes the entry has now.
pub(crate) fn publish(inner: &Inner, stage: Stage, mode: PutMode) -> Result<Result<u64, Refusal>> {
    let key = stage.key.clone();
    let fail = |error: Errno| failed("put", &key, error);
    let digits = key.digest.to_string();
    set_modified(&stage.dir, inner.clock.now()).map_err(fail)?;
    for _ in 0..TRIES {
        let shard = inner.root.make_dir(&shard_path(&key)).map_err(fail)?;
        match renameat(inner.session.dir(), &stage.name, &shard, &digits) {
            Ok(()) => {
                let bytes = stage.bytes();
                stage.was_published();
                return Ok(Ok(bytes));
            }
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            // Somebody removed the shard's directory.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(fail(error)),
        }
        flock(&shard, FlockOperation::LockExclusive).map_err(fail)?;
        match open_entry(&shard, &digits) {
            // Another writer took it away meanwhile.
            Err(Errno::NOENT) => {}
            // Not ours, and in the way.
            Err(Errno::LOOP | Errno::NOTDIR) => match unlinkat(&shard, &digits, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(fail(error)),
            },
            Ok(old) => return over(inner, stage, mode, &shard, &digits, &old).map_err(fail),
            Err(error) => return Err(fail(error)),
        }
    }
    Err(fail(Errno::BUSY))
}

fn open_entry(shard: &OwnedFd, digits: &str) -> Result<EntryDir, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    EntryDir::of(openat(shard, digits, flags, Mode::empty())?)
}

/// Puts a staged entry over the one that is there; the shard's lock is held.
fn over(
    inner: &Inner,
    mut stage: Stage,
    mode: PutMode,
    shard: &OwnedFd,
    digits: &str,
    old: &EntryDir,
) -> Result<Result<u64, Refusal>, Errno> {
    if mode != PutMode::Replace {
        if mode == PutMode::Fill {
            for (name, encoded) in old.blob_names()? {
                if let Some(at) = stage.blobs.iter().position(|(staged, _)| *staged == name) {
                    stage.blobs.swap_remove(at);
                    unlinkat(&stage.dir, &encoded, AtFlags::empty())?;
                }
            }
            if stage.blobs.is_empty() {
                return Ok(Ok(0));
            }
        }
        keep_blobs(inner, &mut stage, old)?;
        if inner.options.max_bytes.is_some_and(|max| stage.bytes() > max) {
            if mode == PutMode::Merge {
                take_away(inner, shard, digits)?;
            }
            return Ok(Err(Refusal::OverBudget));
        }
        set_modified(&stage.dir, inner.clock.now())?;
    }
    let bytes = stage.bytes();
    exchange(inner, stage, shard, digits)?;
    Ok(Ok(bytes))
}

/// Links the blobs of the old entry that the new one does not have into the new one.
fn keep_blobs(inner: &Inner, stage: &mut Stage, old: &EntryDir) -> Result<(), Errno> {
    let known: EntryMeta = match old.meta(&inner.root, &stage.key)? {
        Some(meta) => meta,
        None => return Ok(()),
    };
    for blob in known.blobs {
        if stage.blobs.iter().any(|(staged, _)| *staged == blob.name) {
            continue;
        }
        let encoded = blob.name.encoded();
        linkat(old.fd(), &encoded, &stage.dir, &encoded, AtFlags::empty())?;
        stage.blobs.push((blob.name, blob.bytes));
    }
    Ok(())
}

/// Swaps the staged directory and the entry's, so that a reader finds the one or the other.
fn exchange(inner: &Inner, stage: Stage, shard: &OwnedFd, digits: &str) -> Result<(), Errno> {
    match renameat_with(inner.session.dir(), &stage.name, shard, digits, RenameFlags::EXCHANGE) {
        // What is staged now is the old entry, and goes when the stage is dropped.
        Ok(()) => Ok(()),
        // A file system without the exchange: a reader between the two renames finds a miss.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            take_away(inner, shard, digits)?;
            renameat(inner.session.dir(), &stage.name, shard, digits)?;
            stage.was_published();
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Moves an entry out of its shard, whose lock is held, and removes it. One that is not there is fine.
pub(crate) fn take_away(inner: &Inner, shard: &OwnedFd, digits: &str) -> Result<(), Errno> {
    let trash = random_name().map_err(|_| Errno::IO)?;
    let session = inner.session.dir();
    match renameat(shard.as_fd(), digits, session, &trash) {
        Ok(()) => remove_tree(session, &trash),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the entry of `key`; only if it is still `this`, where that is given.
pub(crate) fn remove(
    inner: &Inner,
    key: &Key,
    this: Option<&EntryDir>,
    operation: &'static str,
) -> Result<()> {
    let fail = |error: Errno| failed(operation, key, error);
    let Some(shard) = inner.root.open_dir(&shard_path(key)).map_err(fail)? else { return Ok(()) };
    let digits = key.digest.to_string();
    flock(&shard, FlockOperation::LockExclusive).map_err(fail)?;
    if let Some(this) = this
        && !open_entry(&shard, &digits).is_ok_and(|now| now.is(this))
    {
        return Ok(());
    }
    take_away(inner, &shard, &digits).map_err(fail)
}
