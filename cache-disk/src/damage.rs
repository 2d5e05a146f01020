//! What becomes of an entry in which a read found damage.

use cache_core::{Error, ErrorKind, Result};

use crate::{
    at::At,
    cancel::Cancel,
    disk::Inner,
    entry_dir::EntryDir,
    remove::{Only, remove},
};

/// Opens an entry. What is no directory is dropped, and damage.
pub(crate) fn open_or_drop(inner: &Inner, at: At<'_>) -> Result<Option<EntryDir>> {
    let opened = EntryDir::open(at.root, at.key, at.operation);
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
        drop_damaged(inner, at, None);
    }
    opened
}

/// Takes an entry away if this error says that it is damaged.
pub(crate) fn damaged(inner: &Inner, at: At<'_>, dir: &EntryDir, error: Error) -> Error {
    if error.kind() == ErrorKind::Corrupt {
        drop_damaged(inner, at, Some(dir));
    }
    error
}

/// Takes a damaged entry away, so that the next read is a miss and the next put repairs it. The whole
/// entry: what is left of one must not pass for all of it. It goes into quarantine, or else for good.
/// Without a directory, drops what is none.
pub(crate) fn drop_damaged(inner: &Inner, at: At<'_>, this: Option<&EntryDir>) {
    // If it cannot be taken away, the next read finds the same damage.
    _ = remove(inner, at.key, this.map_or(Only::Strange, Only::Damaged), at.operation, &Cancel::default());
}
