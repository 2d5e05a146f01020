//! Looks a shard's log through, and leaves it in order.

use std::{
    fs::File,
    io,
    os::{fd::AsFd, unix::fs::FileExt},
};

use cache_core::{Key, Result};
use rustix::{
    fs::{AtFlags, OFlags, openat, renameat, unlinkat},
    io::Errno,
};

use super::{
    Index, below,
    log::{Log, State, lock_log},
    name,
    record::Held,
    replay::Replay,
};
use crate::{
    root::{FILE_MODE, Root},
    session::Session,
    tree::random_name,
};

/// What a look at the directories told of keys that the log does not know, or knows wrongly.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) keys: Vec<(Key, Option<Held>)>,
}

/// Looks at the directories of the shard whose log this is.
pub(crate) type Look<'a> = &'a dyn Fn(&Replay) -> Result<Findings>;

/// How often a review begins again because the log was replaced meanwhile.
const TRIES: usize = 16;

/// Reads the log of a shard, corrects the sum of its sizes, and compacts it if it is long. With `look` it
/// is first compared with the directories, which happens without the lock: what is found of a key counts
/// only if no record has mentioned it since. Answers whether what was found could be written down, too.
pub(crate) fn review(
    index: &Index,
    root: &Root,
    session: &Session,
    shard: u8,
    operation: &'static str,
    look: Option<Look<'_>>,
) -> Result<(Replay, Result<()>)> {
    let path = below(&name(shard));
    let failed = |error: io::Error| root.failed(operation, &path, error);
    for _ in 0..TRIES {
        let log = index.lock_shard(root, shard, operation)?;
        let len = u64::from(log.cell.log);
        log.unlock().map_err(|error| failed(error.into()))?;
        let mut replay = Replay::new(shard);
        replay.read(&log.file, len).map_err(failed)?;
        let findings = match look {
            Some(look) => {
                replay.watch();
                look(&replay)?
            }
            None => Findings::default(),
        };
        let State::Whole(len) = lock_log(&log.file).map_err(|error| failed(error.into()))? else { continue };
        let Log { files, shard, file, .. } = log;
        let mut log = Log::take(files, shard, file, len).map_err(failed)?;
        if !replay.read(&log.file, u64::from(log.cell.log)).map_err(failed)? {
            log.repair().map_err(failed)?;
            continue;
        }
        let mut news = false;
        for (key, held) in findings.keys {
            news |= replay.found(&key, held);
        }
        let mut compacted = log.cell.compacted;
        let mut written = Ok(());
        if news || log.is_long() {
            match rewrite(&mut log, &mut replay, session) {
                Ok(len) => compacted = len,
                // Where there is no room for a shorter log the long one still holds.
                Err(_) if !news => {}
                Err(error) => written = Err(error),
            }
        }
        if written.is_ok() {
            written = log.correct(&replay, compacted);
        }
        return Ok((replay, written.map_err(failed)));
    }
    Err(failed(Errno::BUSY.into()))
}

/// Compacts the log of a shard if that is worth it.
pub(crate) fn compact(index: &Index, root: &Root, session: &Session, shard: u8) -> Result<()> {
    if !index.lock_shard(root, shard, "put")?.is_long() {
        return Ok(());
    }
    review(index, root, session, shard, "put", None).and_then(|(_, written)| written)
}

/// Replaces a log by one that says just what it does, and answers how long that is.
fn rewrite(log: &mut Log, replay: &mut Replay, session: &Session) -> io::Result<u32> {
    let bytes = replay.encode();
    let name_aside = random_name("evict").map_err(io::Error::other)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let aside = File::from(openat(session.dir(), &name_aside, flags, FILE_MODE)?);
    let moved = aside.write_all_at(&bytes, 0).and_then(|()| {
        // Who waits for the old log finds another in its place, and waits for that one.
        lock_log(&aside)?;
        Ok(renameat(session.dir(), &name_aside, log.files.dir.as_fd(), name(log.shard))?)
    });
    if let Err(error) = moved {
        _ = unlinkat(session.dir(), &name_aside, AtFlags::empty());
        return Err(error);
    }
    let _old = std::mem::replace(&mut log.file, aside);
    replay.has_length(bytes.len() as u64);
    Ok(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
