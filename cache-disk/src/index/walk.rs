//! Compares a log with the directories. Of what the log knows only the names are read.

use std::{collections::HashSet, os::fd::AsFd};

use cache_core::{Digest, Error, Key, Namespace, Result};
use rustix::io::Errno;

use super::{Findings, Held, Replay, name, sizes::SHARDS};
use crate::{
    at::At,
    root::{Root, entry_path, in_namespace},
    scan::look_at,
    tree::names,
};

/// All namespaces, and which shards each of them has.
pub(crate) struct Tree {
    namespaces: Vec<(Namespace, [bool; SHARDS])>,
    operation: &'static str,
    /// The first directory that could not be read.
    pub(crate) outcome: Result<()>,
}

impl Tree {
    pub(crate) fn read(root: &Root, operation: &'static str, stop: &dyn Fn() -> bool) -> Self {
        let mut tree = Self { namespaces: Vec::new(), operation, outcome: Ok(()) };
        let mut left = vec![Namespace::root()];
        while let Some(namespace) = left.pop() {
            if stop() {
                break;
            }
            let found = match names_below(root, namespace.encoded()) {
                Ok(found) => found,
                Err(error) => {
                    let error = root.failed(operation, namespace.encoded(), error.into());
                    tree.outcome = std::mem::replace(&mut tree.outcome, Ok(())).and(Err(error));
                    continue;
                }
            };
            let mut shards = [false; SHARDS];
            for name in found {
                if let Some(shard) = shard_of(&name).and_then(|shard| shards.get_mut(usize::from(shard))) {
                    *shard = true;
                } else if name.starts_with('~') {
                    left.extend(Namespace::decode(&in_namespace(&namespace, &name)));
                }
            }
            tree.namespaces.push((namespace, shards));
        }
        tree
    }

    /// What the directories of a shard tell that the log does not. Answers with the first failure, too.
    pub(crate) fn compare(&self, root: &Root, shard: u8, log: &Replay) -> (Findings, Result<()>) {
        let mut findings = Findings::default();
        let mut outcome = Ok(());
        let mut seen: HashSet<Key> = HashSet::new();
        let of_shard = self.namespaces.iter();
        for (namespace, _) in of_shard.filter(|(_, has)| has.get(usize::from(shard)) == Some(&true)) {
            let path = in_namespace(namespace, &name(shard));
            let found = match names_below(root, &path) {
                Ok(found) => found,
                Err(error) => {
                    outcome = outcome.and(Err(root.failed(self.operation, &path, error.into())));
                    continue;
                }
            };
            for digest in found.iter().filter_map(|name| name.parse::<Digest>().ok()) {
                let key = Key::new(namespace.clone(), digest);
                if digest.as_bytes().first() != Some(&shard) {
                    continue;
                }
                if log.get(&key).is_none() {
                    match self.look(root, &key) {
                        Ok(Some(held)) => findings.keys.push((key, Some(held))),
                        Ok(None) => {}
                        Err(error) => outcome = outcome.and(Err(error)),
                    }
                } else {
                    seen.insert(key);
                }
            }
        }
        for (namespace, digest, _) in log.entries() {
            let key = Key::new(namespace.clone(), digest);
            if !seen.contains(&key) && is_missing(root, &key) {
                findings.keys.push((key, None));
            }
        }
        (findings, outcome)
    }

    fn look(&self, root: &Root, key: &Key) -> Result<Option<Held>, Error> {
        look_at(At { root, key, operation: self.operation }, |dir| {
            let stored = dir.stored()?;
            let bytes = stored.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.bytes()));
            Ok((!stored.is_empty()).then(|| Held { bytes, used: dir.last_used().into() }))
        })
    }
}

/// Whether there is certainly nothing under a key.
pub(crate) fn is_missing(root: &Root, key: &Key) -> bool {
    matches!(root.open_dir(&entry_path(key)), Ok(None) | Err(Errno::LOOP | Errno::NOTDIR))
}

/// The names in a directory below the root. What is no directory has none.
fn names_below(root: &Root, path: &str) -> Result<Vec<String>, Errno> {
    if path.is_empty() {
        return names(root.fd());
    }
    match root.open_dir(path) {
        Ok(Some(dir)) => names(dir.as_fd()),
        Ok(None) | Err(Errno::LOOP | Errno::NOTDIR) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn shard_of(name: &str) -> Option<u8> {
    let is_shard = name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_shard.then(|| u8::from_str_radix(name, 16).ok()).flatten()
}
