//! How a staged entry becomes visible: by one rename, whole.

use std::{os::fd::OwnedFd, time::SystemTime};

use cache_core::{Key, PutMode, Refusal, Result};
use rustix::{
    fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, statat, unlinkat},
    io::Errno,
};

use crate::{
    at::At,
    cancel::Cancel,
    disk::Inner,
    entry_dir::EntryDir,
    index::{Held, Used},
    prune::prune,
    remove::{open_entry, take_away},
    stage::Stage,
    tree::{lock, try_lock},
};

/// How often a race with other writers is run again before it counts as a failure.
const TRIES: usize = 64;

fn at<'a>(inner: &'a Inner, key: &'a Key) -> At<'a> {
    At { root: &inner.root, key, operation: "put" }
}

/// Makes `stage` visible by `mode`, or refuses it. Answers how many bytes were written.
pub(crate) fn publish(
    inner: &Inner,
    stage: Stage,
    mode: PutMode,
    cancel: &Cancel,
) -> Result<Result<u64, Refusal>> {
    let key = stage.key.clone();
    let at = at(inner, &key);
    let digits = key.digest.to_string();
    let used = inner.clock.now();
    stage.mark_used(used).map_err(|error| at.failed(error))?;
    for _ in 0..TRIES {
        let shard = at.keyed(inner.root.make_shard(&key, "put"))?;
        let placed = if statat(&shard, &digits, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            Err(Errno::EXIST)
        } else {
            let step = Step { shard: &shard, before: 0, used: used.into(), whole: true };
            becoming_visible(inner, &stage, &step, cancel, || {
                renameat(stage.session.dir(), &stage.name, &shard, &digits)
            })
            .inspect_err(|_| unmake(inner, &key, &shard))?
        };
        match placed {
            Ok(()) => {
                let bytes = stage.bytes();
                stage.was_published();
                return Ok(Ok(bytes));
            }
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            Err(Errno::NOENT) => {
                // Without the stage, somebody emptied the directory; else only the shard went away.
                statat(stage.session.dir(), &stage.name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| at.failed(error))?;
                continue;
            }
            Err(error) => return Err(at.failed(error)),
        }
        lock(&shard).map_err(|error| at.failed(error))?;
        match open_entry(&shard, &digits) {
            // Another writer took it away meanwhile.
            Err(Errno::NOENT) => {}
            // Not ours, and in the way.
            Err(Errno::LOOP | Errno::NOTDIR) => match unlinkat(&shard, &digits, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(at.failed(error)),
            },
            Ok(old) => return over(inner, stage, mode, &shard, &old, used, cancel),
            Err(error) => return Err(at.failed(error)),
        }
    }
    Err(at.failed(Errno::BUSY))
}

/// Removes the shard that was made for a put which is not wanted any more.
fn unmake(inner: &Inner, key: &Key, shard: &OwnedFd) {
    if try_lock(shard) == Ok(true) {
        prune(&inner.root, key, shard);
    }
}

/// What a stage becomes visible as.
struct Step<'a> {
    shard: &'a OwnedFd,
    /// The bytes of the entry that it replaces.
    before: u64,
    used: Used,
    /// Whether all that the entry will have was written for this stage.
    whole: bool,
}

/// Runs the rename that makes a stage visible, so that it counts as one step with what is written down
/// about it, and only if its put is still wanted.
fn becoming_visible(
    inner: &Inner,
    stage: &Stage,
    step: &Step<'_>,
    cancel: &Cancel,
    rename: impl FnOnce() -> Result<(), Errno>,
) -> Result<Result<(), Errno>> {
    let at = at(inner, &stage.key);
    let mut log = inner.index.lock(at.root, at.key, at.operation)?;
    let _stripe = inner.stripes.lock(&stage.key);
    cancel.check("put")?;
    // No entry is ever visible without its record, nor with more bytes than that tells of: what gets smaller is
    // written down afterwards.
    let held = Held { bytes: stage.bytes(), used: step.used };
    let shrinks = held.bytes < step.before;
    if !shrinks {
        log.write(at.key, step.before, Some(held)).map_err(|error| at.failed(error))?;
    }
    let is_new = inner.pending.announce(&stage.key);
    let renamed = rename();
    match renamed {
        Ok(()) => {
            inner.pending.written(&stage.key, stage.begun, step.whole);
            inner.recency.forget(&stage.key);
            if shrinks {
                // If this fails, the old record counts the old bytes on.
                _ = log.write(at.key, step.before, Some(held));
            }
        }
        Err(_) => {
            if is_new {
                inner.pending.retract(&stage.key);
            }
            let there = what_is_there(step, at.key);
            let counted = if shrinks { step.before } else { held.bytes };
            // Where nothing was to be replaced, what came first was counted by who put it.
            let first = there.filter(|_| step.before == 0).map_or(0, |there| there.bytes);
            // If this fails, the record tells of an entry that is not there, or of another one.
            _ = log.write(at.key, counted.saturating_add(first), there);
        }
    }
    inner.was_written(&log);
    Ok(renamed)
}

fn what_is_there(step: &Step<'_>, key: &Key) -> Option<Held> {
    match open_entry(step.shard, &key.digest.to_string()) {
        Ok(there) => {
            Some(Held { bytes: there.bytes().unwrap_or(step.before), used: there.last_used().into() })
        }
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => None,
        // It may be there.
        Err(_) => Some(Held { bytes: step.before, used: step.used }),
    }
}

/// Puts a staged entry over the one that is there; the shard's lock is held.
fn over(
    inner: &Inner,
    mut stage: Stage,
    mode: PutMode,
    shard: &OwnedFd,
    old: &EntryDir,
    mut used: SystemTime,
    cancel: &Cancel,
) -> Result<Result<u64, Refusal>> {
    let key = stage.key.clone();
    let at = at(inner, &key);
    let digits = key.digest.to_string();
    let had = old.bytes().map_err(|error| at.failed(error))?;
    let mut given = stage.bytes();
    let mut whole = true;
    if mode != PutMode::Replace {
        if mode == PutMode::Fill {
            leave_out(&mut stage, old).map_err(|error| at.failed(error))?;
            given = stage.bytes();
            if stage.blobs.is_empty() {
                return Ok(Ok(0));
            }
        }
        whole = !keep_blobs(&mut stage, old).map_err(|error| at.failed(error))?;
        if inner.options.max_bytes.is_some_and(|max| stage.bytes() > max) {
            if mode == PutMode::Merge {
                drop_refused(inner, shard, had, at, cancel)?;
            }
            return Ok(Err(Refusal::OverBudget));
        }
        used = inner.clock.now();
        stage.mark_used(used).map_err(|error| at.failed(error))?;
    }
    let step = Step { shard, before: had, used: used.into(), whole };
    let exchanged = becoming_visible(inner, &stage, &step, cancel, || {
        renameat_with(stage.session.dir(), &stage.name, shard, &digits, RenameFlags::EXCHANGE)
    })?;
    match exchanged {
        // What is staged now is the old entry, and goes when the stage is dropped.
        Ok(()) => {}
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            replace_in_two_steps(inner, &stage, &step, cancel)?;
            stage.was_published();
        }
        Err(error) => return Err(at.failed(error)),
    }
    Ok(Ok(given))
}

/// Removes the entry that a refused merge was to be merged into; the shard's lock is held.
fn drop_refused(inner: &Inner, shard: &OwnedFd, had: u64, at: At<'_>, cancel: &Cancel) -> Result<()> {
    let mut log = inner.index.lock(at.root, at.key, at.operation).ok();
    let stripe = inner.stripes.lock(at.key);
    cancel.check("put")?;
    let trash = take_away(inner, shard, &at.key.digest.to_string(), at)?;
    if trash.is_some() {
        inner.pending.forget(at.key);
        inner.recency.forget(at.key);
        inner.gone(log.as_mut(), at.key, had);
    }
    drop(stripe);
    drop(log);
    prune(&inner.root, at.key, shard);
    if let Some(trash) = trash {
        trash.discard();
    }
    Ok(())
}

/// Takes out of a stage what the old entry has.
fn leave_out(stage: &mut Stage, old: &EntryDir) -> Result<(), Errno> {
    for blob in old.stored()? {
        if let Some(at) = stage.blobs.iter().position(|(staged, _)| *staged == blob.name) {
            stage.blobs.swap_remove(at);
            unlinkat(stage.session.dir(), stage.path_of(&blob.name), AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Links the blobs of the old entry that the new one does not have into the new one. Answers whether
/// there were any.
fn keep_blobs(stage: &mut Stage, old: &EntryDir) -> Result<bool, Errno> {
    let mut any = false;
    for blob in old.stored()? {
        if stage.blobs.iter().any(|(staged, _)| *staged == blob.name) {
            continue;
        }
        let to = stage.path_of(&blob.name);
        linkat(old.fd(), blob.name.encoded(), stage.session.dir(), to, AtFlags::empty())?;
        let bytes = blob.bytes();
        stage.blobs.push((blob.name, bytes));
        any = true;
    }
    Ok(any)
}

/// For a file system without the exchange: a reader between the two renames finds a miss. If the second
/// one fails, the old entry is put back.
fn replace_in_two_steps(inner: &Inner, stage: &Stage, step: &Step<'_>, cancel: &Cancel) -> Result<()> {
    let at = at(inner, &stage.key);
    let digits = stage.key.digest.to_string();
    for _ in 0..TRIES {
        let mut taken = Ok(None);
        let placed = becoming_visible(inner, stage, step, cancel, || {
            taken = take_away(inner, step.shard, &digits, at);
            let Ok(trash) = &taken else { return Err(Errno::CANCELED) };
            let placed = renameat(stage.session.dir(), &stage.name, step.shard, &digits);
            // Where another process put the entry meanwhile, it came first.
            if let (Err(_), Some(trash)) = (placed, trash)
                && trash.put_back(step.shard, &digits).is_ok()
            {
                taken = Ok(None);
            }
            placed
        })?;
        if let Some(trash) = taken? {
            trash.discard();
        }
        match placed {
            Ok(()) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(at.failed(error)),
        }
    }
    Err(at.failed(Errno::BUSY))
}

#[cfg(test)]
mod tests;
