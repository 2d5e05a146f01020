//! Directories go with the last entry below them.

use std::os::fd::{AsFd, OwnedFd};

use cache_core::Key;
use rustix::{
    fs::{AtFlags, fstat, unlinkat},
    io::Errno,
};

use crate::{
    root::{Root, shard_path},
    tree::same_file,
};

/// Removes the shard of `key`, whose lock is held, if it is empty, and the namespaces that are empty then.
/// What is not empty stays, whatever it holds.
///
/// Under its lock, since whoever replaces an entry in two steps must find the shard again. A writer without
/// the lock finds it gone and makes it again.
pub(crate) fn prune(root: &Root, key: &Key, shard: &OwnedFd) {
    // Entries are directories, which most file systems count as links.
    if fstat(shard).is_ok_and(|stat| stat.st_nlink > 2) {
        return;
    }
    let mut path = shard_path(key);
    // The lock is that of a directory, which may be in its place no more.
    if remove_empty(root, &path, Some(shard)).is_err() {
        return;
    }
    while let Some((namespace, _)) = path.rsplit_once('/') {
        path = namespace.to_owned();
        if remove_empty(root, &path, None).is_err() {
            return;
        }
    }
}

fn remove_empty(root: &Root, path: &str, this: Option<&OwnedFd>) -> Result<(), Errno> {
    let (parent, name) = match path.rsplit_once('/') {
        Some((parent, name)) => (Some(root.open_dir(parent)?.ok_or(Errno::NOENT)?), name),
        None => (None, path),
    };
    let parent = parent.as_ref().map_or(root.fd(), AsFd::as_fd);
    if this.is_some_and(|this| !same_file(parent, name, this)) {
        return Err(Errno::NOENT);
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests;
