//! A store that goes with its last handle.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{Mutex, PoisonError},
};

use cache_core::{BlockingTasks, Digest, Error, Namespace, Result};
use rustix::{
    fs::{AtFlags, Mode, openat, unlinkat},
    io::Errno,
};
use tempfile::TempDir;

use crate::{
    quarantine,
    root::{Root, in_namespace},
    scan::is_shard,
    session,
    tree::{DIR_FLAGS, names, remove_tree},
};

/// What is known of the entries, to be rebuilt from them.
const INDEX: &str = ".index";

/// Sees to it that what a temporary store keeps is removed when this is dropped, by a task of the store.
pub(crate) struct Temporary {
    kept: Mutex<Option<Kept>>,
    tasks: BlockingTasks,
}

impl Temporary {
    pub(crate) fn new(kept: Option<Kept>, tasks: BlockingTasks) -> Self {
        Self { kept: Mutex::new(kept), tasks }
    }

    /// What is to be removed, unless it was already.
    pub(crate) fn take(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(kept) = self.take() {
            // A task that never begins because the runtime ends is dropped, and that removes it as well.
            self.tasks.spawn(move || drop(kept));
        }
    }
}

/// What a temporary store keeps. It is removed when this is dropped, which may take a while.
pub(crate) struct Kept(Option<Place>);

enum Place {
    /// A directory that was made for the store.
    Fresh(TempDir),
    /// One that was given: what is not the store's stays.
    Given(Root),
}

impl Kept {
    pub(crate) fn fresh(dir: TempDir) -> Self {
        Self(Some(Place::Fresh(dir)))
    }

    pub(crate) fn given(root: Root) -> Self {
        Self(Some(Place::Given(root)))
    }

    pub(crate) fn remove(mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), Place::remove)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            // Nobody is left to be told.
            _ = place.remove();
        }
    }
}

impl Place {
    fn remove(self) -> Result<()> {
        match self {
            Self::Fresh(dir) => {
                let path = dir.path().display().to_string();
                dir.close().map_err(|error| Error::from_io("disk", "close", error).with_detail(path))
            }
            Self::Given(root) => empty(&root),
        }
    }
}

/// Makes a directory that nobody else can look into.
pub(crate) fn fresh_dir() -> Result<TempDir> {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};
    let mut builder = tempfile::Builder::new();
    let made = builder.prefix("cache-disk-").permissions(Permissions::from_mode(0o700)).tempdir();
    made.map_err(|error| Error::from_io("disk", "open", error).with_detail("no temporary directory"))
}

/// Removes what a store keeps in a directory, unless another store has it open.
fn empty(root: &Root) -> Result<()> {
    // Until the end, so that nobody opens it meanwhile.
    let Ok(Some(_alone)) = root.claim(true) else { return Ok(()) };
    let failed = |error: Errno| root.failed("close", "", error.into());
    empty_namespace(root, &Namespace::root()).map_err(failed)?;
    for (name, of_ours) in [
        (session::TEMP, session::names_of_sessions as fn(BorrowedFd<'_>) -> Result<Vec<String>, Errno>),
        (quarantine::QUARANTINE, quarantine::entries),
    ] {
        let Ok(Some(dir)) = root.open_dir(name) else { continue };
        for entry in of_ours(dir.as_fd()).map_err(failed)? {
            remove_tree(dir.as_fd(), entry.as_str()).map_err(failed)?;
        }
        remove_if_empty(root.fd(), name).map_err(failed)?;
    }
    // All of it is the store's.
    remove_tree(root.fd(), INDEX).map_err(failed)?;
    root.unmark().map_err(failed)
}

/// Removes the entries of a namespace and of all below it.
fn empty_namespace(root: &Root, namespace: &Namespace) -> Result<(), Errno> {
    let copy;
    let dir = if namespace.is_root() {
        root.fd()
    } else {
        match root.open_dir(namespace.encoded()) {
            Ok(Some(open)) => copy = open,
            // A stranger, or gone.
            Ok(None) | Err(Errno::LOOP | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error),
        }
        copy.as_fd()
    };
    for name in names(dir)? {
        if is_shard(&name) {
            empty_shard(dir, &name)?;
        } else if let Some(below) = Namespace::decode(&in_namespace(namespace, &name)) {
            empty_namespace(root, &below)?;
        } else {
            continue;
        }
        remove_if_empty(dir, &name)?;
    }
    Ok(())
}

fn empty_shard(parent: BorrowedFd<'_>, shard: &str) -> Result<(), Errno> {
    let dir: OwnedFd = match openat(parent, shard, DIR_FLAGS, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names(dir.as_fd())? {
        if name.starts_with(shard) && name.parse::<Digest>().is_ok() {
            remove_tree(dir.as_fd(), name.as_str())?;
        }
    }
    Ok(())
}

/// Removes a directory, unless something of others is in it.
fn remove_if_empty(parent: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(()),
        removed => removed,
    }
}

/// Whether a store is to make a directory for itself.
pub(crate) fn wants_fresh(dir: &Path, temporary: bool) -> bool {
    temporary && dir.as_os_str().is_empty()
}
