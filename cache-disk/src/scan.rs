//! Walks entries in the order of their keys, a shard at a time, and only where the options lead.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    os::fd::{AsFd, OwnedFd},
};

use cache_core::{Digest, EntryMeta, ErrorKind, Key, ListOptions, Namespace, Result};
use rustix::io::Errno;

use crate::{
    at::At,
    entry_dir::EntryDir,
    root::{Root, in_namespace},
    tree::names,
};

/// A walk that can be stopped after any entry and gone on with.
pub(crate) struct Scan {
    options: ListOptions,
    operation: &'static str,
    /// Namespaces still to visit. The smallest goes first, and all below one come after it.
    namespaces: BinaryHeap<Reverse<Namespace>>,
    current: Option<Namespace>,
    /// Shards of the current namespace still to visit, and digests of the current shard.
    shards: VecDeque<String>,
    digests: VecDeque<Digest>,
    left: usize,
}

impl Scan {
    pub(crate) fn new(options: ListOptions, operation: &'static str) -> Self {
        let left = options.limit.unwrap_or(usize::MAX);
        let namespaces = BinaryHeap::from([Reverse(options.namespace.clone())]);
        Self {
            options,
            operation,
            namespaces,
            current: None,
            shards: VecDeque::new(),
            digests: VecDeque::new(),
            left,
        }
    }

    /// The next entry; `None` at the end. Entries that vanish meanwhile are passed over.
    pub(crate) fn next(&mut self, root: &Root) -> Result<Option<EntryMeta>> {
        self.next_with(root, |dir, key| dir.meta(root, key))
    }

    /// The next entry for which `look` finds something. After an error the walk can go on: with what
    /// comes behind the place that could not be read.
    pub(crate) fn next_with<T>(
        &mut self,
        root: &Root,
        look: impl Fn(&EntryDir, &Key) -> Result<Option<T>, Errno>,
    ) -> Result<Option<T>> {
        while self.left > 0 {
            let Some(namespace) = self.current.clone() else {
                let Some(Reverse(namespace)) = self.namespaces.pop() else { return Ok(None) };
                self.enter(root, namespace)?;
                continue;
            };
            if let Some(digest) = self.digests.pop_front() {
                let key = Key::new(namespace, digest);
                let at = At { root, key: &key, operation: self.operation };
                if let Some(found) = look_at(at, |dir| look(dir, &key))? {
                    self.left -= 1;
                    return Ok(Some(found));
                }
            } else if let Some(shard) = self.shards.pop_front() {
                self.read_shard(root, &namespace, &shard)?;
            } else {
                self.current = None;
            }
        }
        Ok(None)
    }

    fn enter(&mut self, root: &Root, namespace: Namespace) -> Result<()> {
        let one_shard =
            self.options.prefix.filter(|prefix| prefix.len() >= 2).map(|prefix| prefix.first().prefix(2));
        if let (Some(shard), false) = (one_shard, self.options.recursive) {
            self.shards.push_back(shard.to_string());
            self.current = Some(namespace);
            return Ok(());
        }
        let fd = if namespace.is_root() {
            let copy = root.fd().try_clone_to_owned();
            Some(copy.map_err(|error| root.failed(self.operation, "", error))?)
        } else {
            self.open_or_skip(root, namespace.encoded())?
        };
        let Some(fd) = fd else { return Ok(()) };
        let mut shards = Vec::new();
        let found = names(fd.as_fd());
        for name in found.map_err(|error| root.failed(self.operation, namespace.encoded(), error.into()))? {
            if is_shard(&name) && self.wants_shard(&namespace, &name) {
                shards.push(name);
            } else if self.options.recursive
                && name.starts_with('~')
                && let Some(below) = Namespace::decode(&in_namespace(&namespace, &name))
            {
                self.namespaces.push(Reverse(below));
            }
        }
        shards.sort_unstable();
        self.shards = shards.into();
        self.current = Some(namespace);
        Ok(())
    }

    fn wants_shard(&self, namespace: &Namespace, shard: &str) -> bool {
        let first_digits = |digest: Digest| digest.to_string().chars().take(2).collect::<String>();
        let by_prefix = self.options.prefix.is_none_or(|prefix| {
            first_digits(prefix.first()).as_str() <= shard && shard <= first_digits(prefix.last()).as_str()
        });
        let by_start =
            self.options.start_after.as_ref().is_none_or(|after| match namespace.cmp(&after.namespace) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => shard >= first_digits(after.digest).as_str(),
                std::cmp::Ordering::Greater => true,
            });
        by_prefix && by_start
    }

    fn read_shard(&mut self, root: &Root, namespace: &Namespace, shard: &str) -> Result<()> {
        let path = in_namespace(namespace, shard);
        let Some(fd) = self.open_or_skip(root, &path)? else { return Ok(()) };
        let mut digests: Vec<Digest> = names(fd.as_fd())
            .map_err(|error| root.failed(self.operation, &path, error.into()))?
            .into_iter()
            .filter(|name| name.starts_with(shard))
            .filter_map(|name| name.parse().ok())
            .filter(|digest| self.options.admits(&Key::new(namespace.clone(), *digest)))
            .collect();
        digests.sort_unstable();
        self.digests = digests.into();
        Ok(())
    }

    /// Opens a directory of the tree; what is not there, or is a link or a file, is a stranger.
    fn open_or_skip(&self, root: &Root, path: &str) -> Result<Option<OwnedFd>> {
        match root.open_dir(path) {
            Err(Errno::LOOP | Errno::NOTDIR) => Ok(None),
            opened => opened.map_err(|error| root.failed(self.operation, path, error.into())),
        }
    }
}

/// What is known of an entry; `None` if there is none.
pub(crate) fn meta_of(root: &Root, key: &Key, operation: &'static str) -> Result<Option<EntryMeta>> {
    look_at(At { root, key, operation }, |dir| dir.meta(root, key))
}

/// Looks at an entry, never at half of one: a directory that was replaced meanwhile is looked at again.
pub(crate) fn look_at<T>(
    at: At<'_>,
    look: impl Fn(&EntryDir) -> Result<Option<T>, Errno>,
) -> Result<Option<T>> {
    loop {
        let dir = match EntryDir::open(at.root, at.key, at.operation) {
            Ok(Some(dir)) => dir,
            Ok(None) => return Ok(None),
            // A link or a file where an entry belongs is a stranger.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error),
        };
        let seen = look(&dir).map_err(|error| at.failed(error))?;
        match dir.is_current(at.root, at.key, at.operation) {
            Ok(true) => return Ok(seen),
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn is_shard(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
