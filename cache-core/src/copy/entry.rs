//! One entry: whether it is copied, the copy, and whether it is what it should be.

use std::{sync::Arc, time::SystemTime};

use super::{
    CopyOptions, Overwrite,
    progress::Progress,
    watch::{Sums, Watch},
};
use crate::{
    EntryMeta, Error, ErrorKind, GetOptions, Key, Namespace, PutOptions, Result, Store, checksum::BlockSums,
    verify::read_pieces,
};

/// Larger blobs are copied as streams, where the source has that power.
const IN_HAND: u64 = 1 << 20;

/// What became of an entry.
pub(super) enum Copied {
    /// It has so many bytes.
    Done(u64),
    /// The target has it already.
    Skipped,
    /// The target keeps another version.
    Kept,
    /// Somebody removed it meanwhile.
    Gone,
    /// It is damaged at the source.
    Damaged,
    /// The target does not take it.
    Refused,
    Failed(Error),
}

/// How a version at the target compares with the source's.
enum There {
    Same,
    Other,
    Nothing,
}

/// Copies entries from one store to another.
pub(super) struct Copier<'a, S: ?Sized> {
    pub(super) from: &'a S,
    pub(super) to: &'a dyn Store,
    pub(super) scope: &'a Namespace,
    pub(super) into: &'a Namespace,
    pub(super) options: &'a CopyOptions,
    pub(super) progress: &'a Arc<Progress>,
}

impl<S: Store + ?Sized> Copier<'_, S> {
    /// Copies a listed entry. An error is one of the listing.
    pub(super) async fn copy_listed(&self, listed: Result<EntryMeta>) -> Result<(Key, Copied)> {
        let key = listed?.key;
        let (Ok(copied) | Err(copied)) = self.copy(&key).await;
        Ok((key, copied))
    }

    /// `Err` is what it comes to where it is not copied.
    async fn copy(&self, key: &Key) -> Result<Copied, Copied> {
        let at = self.target_of(key).map_err(Copied::Failed)?;
        self.is_wanted(key, &at).await?;
        let quietly = GetOptions::default().quietly().with_stream_above(IN_HAND);
        let entry = self.from.get_entry(key, quietly).await.map_err(unread)?.ok_or(Copied::Gone)?;
        let created = entry.meta.modified;
        let options = PutOptions { created, ..PutOptions::default() };
        let watch = Watch::new(self.progress);
        let entry = watch.over(entry).map_err(unread)?;
        let outcome = self.to.put(&at, entry, options).await;
        if let Some(failure) = watch.failure() {
            // A target that took it all the same has a part of it.
            if outcome.is_ok_and(|outcome| outcome.is_stored()) {
                self.to.evict(&at).await.map_err(Copied::Failed)?;
            }
            return Err(unread(failure));
        }
        match outcome {
            Ok(outcome) if outcome.is_stored() => {}
            Ok(_) => return Err(Copied::Refused),
            Err(error) if error.kind() == ErrorKind::TooLarge => return Err(Copied::Refused),
            Err(error) => return Err(Copied::Failed(error)),
        }
        let (bytes, written) = watch.finish();
        if self.options.verify {
            self.check(&at, created, &written).await?;
        }
        Ok(Copied::Done(bytes))
    }

    /// Where the copy of an entry belongs.
    fn target_of(&self, key: &Key) -> Result<Key> {
        if self.scope == self.into {
            return Ok(key.clone());
        }
        let mut namespace = self.into.clone();
        for part in key.namespace.parts().iter().skip(self.scope.parts().len()) {
            namespace = namespace.child(part)?;
        }
        Ok(Key::new(namespace, key.digest))
    }

    async fn is_wanted(&self, key: &Key, at: &Key) -> Result<(), Copied> {
        let there = match self.to.meta(at).await {
            Ok(Some(there)) => there,
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(()),
            Err(error) => return Err(Copied::Failed(error)),
        };
        let here = self.from.meta(key).await.map_err(unread)?.ok_or(Copied::Gone)?;
        match self.compare(&here, &there).await? {
            There::Same => {
                self.progress.bytes(here.counted_bytes());
                Err(Copied::Skipped)
            }
            There::Nothing => Ok(()),
            There::Other => match self.options.overwrite {
                Overwrite::Older if here.modified.is_some() && here.modified < there.modified => {
                    Err(Copied::Kept)
                }
                Overwrite::Older | Overwrite::Always => Ok(()),
                Overwrite::Never => Err(Copied::Kept),
            },
        }
    }

    async fn compare(&self, here: &EntryMeta, there: &EntryMeta) -> Result<There, Copied> {
        let lengths = |meta: &EntryMeta| -> Vec<_> {
            meta.blobs.iter().map(|blob| (blob.name.clone(), blob.bytes)).collect()
        };
        let is_dated_alike = match (here.modified, there.modified) {
            (Some(here), Some(there)) => here == there,
            // Then their bytes tell, if they are read.
            _ => self.options.verify,
        };
        if !is_dated_alike || lengths(here) != lengths(there) {
            return Ok(There::Other);
        }
        if !self.options.verify {
            return Ok(There::Same);
        }
        let (_, source) = sums(self.from, &here.key).await.map_err(unread)?.ok_or(Copied::Gone)?;
        match sums(self.to, &there.key).await {
            Ok(Some((_, target))) if target == source => Ok(There::Same),
            Ok(Some(_)) => Ok(There::Other),
            Ok(None) => Ok(There::Nothing),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(There::Nothing),
            Err(error) => Err(Copied::Failed(error)),
        }
    }

    /// Whether the target has what was written to it, read back.
    async fn check(&self, at: &Key, created: Option<SystemTime>, written: &Sums) -> Result<(), Copied> {
        let wrong = |how: &'static str| Error::corrupt(how).at(self.to.info().kind, "copy").with_key(at);
        let error = match sums(self.to, at).await {
            Ok(Some((_, read))) if read == *written => return Ok(()),
            Ok(Some((meta, _))) if created.is_some() && created < meta.modified => {
                // Not ours to evict; the next copy finds out which of them stays.
                return Err(Copied::Failed(wrong("another version was put meanwhile")));
            }
            Ok(Some(_)) => wrong("what was read back is not what was written"),
            // To keep its budget, or for somebody who wanted it to.
            Ok(None) => return Err(Copied::Refused),
            Err(error) if error.kind() == ErrorKind::Corrupt => error,
            Err(error) => return Err(Copied::Failed(error)),
        };
        match self.to.evict(at).await {
            Ok(()) => Err(Copied::Failed(error)),
            Err(left) => Err(Copied::Failed(error.with_source(left))),
        }
    }
}

/// What a failure of the source makes of an entry.
fn unread(error: Error) -> Copied {
    if error.kind() == ErrorKind::Corrupt { Copied::Damaged } else { Copied::Failed(error) }
}

/// The checksums of all that an entry holds, read quietly.
async fn sums<S: Store + ?Sized>(store: &S, key: &Key) -> Result<Option<(EntryMeta, Sums)>> {
    let mut blobs: Vec<(_, BlockSums)> = Vec::new();
    let read = read_pieces(store, key, |name, piece| {
        if blobs.last().is_none_or(|(last, _)| last != name) {
            blobs.push((name.clone(), BlockSums::default()));
        }
        if let Some((_, sums)) = blobs.last_mut() {
            sums.update(piece);
        }
    });
    let Some(meta) = read.await? else { return Ok(None) };
    let sums = blobs.into_iter().map(|(name, sums)| (name, sums.finish().checksum())).collect();
    Ok(Some((meta, sums)))
}
