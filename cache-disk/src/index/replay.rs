//! What a log says: which entries there are in its shard.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::unix::fs::FileExt,
};

use cache_core::{Digest, Key, Namespace};

use super::{
    log::HEADER,
    record::{FIXED, Held, Record},
};

/// A log is read in pieces of 1 MiB: one that is damaged may seem to have any length.
const PIECE: usize = 1 << 20;
/// What is longer and no record never becomes one.
const LONGEST: usize = FIXED + u16::MAX as usize;

/// A key of the shard, in little memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id {
    namespace: u32,
    digest: Digest,
}

/// The entries of a shard, as far as its log was read. The last record of a key holds.
#[derive(Debug)]
pub(crate) struct Replay {
    shard: u8,
    namespaces: Vec<Namespace>,
    ids: HashMap<Namespace, u32>,
    entries: HashMap<Id, Held>,
    /// Up to here the log was read, and every record is whole.
    end: u64,
    /// Keys that were mentioned since they are watched.
    mentioned: Option<HashSet<Id>>,
}

impl Replay {
    pub(crate) fn new(shard: u8) -> Self {
        Self {
            shard,
            namespaces: Vec::new(),
            ids: HashMap::new(),
            entries: HashMap::new(),
            end: 0,
            mentioned: None,
        }
    }

    /// Reads on, up to `until`. Answers whether every byte was of a whole record.
    pub(crate) fn read(&mut self, log: &File, until: u64) -> io::Result<bool> {
        // The end of what was read last, which may be the beginning of a record.
        let mut bytes = Vec::new();
        loop {
            let rest = bytes.len();
            let at = self.end.saturating_add(rest as u64);
            let Some(left) = until.checked_sub(at) else { return Ok(false) };
            if left == 0 {
                return Ok(rest == 0);
            }
            bytes.resize(rest + usize::try_from(left).unwrap_or(PIECE).min(PIECE), 0);
            let count = match log.read_at(bytes.get_mut(rest..).unwrap_or_default(), at) {
                // Somebody cut it off meanwhile.
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            bytes.truncate(rest + count);
            let consumed = self.take(&bytes);
            self.end += consumed as u64;
            bytes.drain(..consumed);
            if bytes.len() > LONGEST {
                return Ok(false);
            }
        }
    }

    /// Takes whole records; answers how many bytes they were.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if self.end == 0 {
            if !bytes.starts_with(&HEADER) {
                return 0;
            }
            at = HEADER.len();
        }
        while let Some((record, len)) = bytes.get(at..).and_then(Record::decode) {
            if record.digest.as_bytes().first() != Some(&self.shard) {
                break;
            }
            let Some(id) = self.id_of(&record) else { break };
            match record.held {
                Some(held) => _ = self.entries.insert(id, held),
                None => _ = self.entries.remove(&id),
            }
            if let Some(mentioned) = &mut self.mentioned {
                mentioned.insert(id);
            }
            at += len;
        }
        at
    }

    fn id_of(&mut self, record: &Record<'_>) -> Option<Id> {
        // Runs of one namespace are the rule.
        let last = self.namespaces.last().filter(|last| last.encoded() == record.namespace);
        let namespace = match last {
            Some(_) => u32::try_from(self.namespaces.len() - 1).ok()?,
            None => self.intern(Namespace::decode(record.namespace)?)?,
        };
        Some(Id { namespace, digest: record.digest })
    }

    fn intern(&mut self, namespace: Namespace) -> Option<u32> {
        if let Some(number) = self.ids.get(&namespace) {
            return Some(*number);
        }
        let number = u32::try_from(self.namespaces.len()).ok()?;
        self.ids.insert(namespace.clone(), number);
        self.namespaces.push(namespace);
        Some(number)
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.values().fold(0, |sum, held| sum.saturating_add(held.bytes))
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Held> {
        self.entries.get(&self.id(key)?).copied()
    }

    fn id(&self, key: &Key) -> Option<Id> {
        Some(Id { namespace: *self.ids.get(&key.namespace)?, digest: key.digest })
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Namespace, Digest, Held)> {
        self.entries.iter().filter_map(|(id, held)| {
            let namespace = self.namespaces.get(usize::try_from(id.namespace).ok()?)?;
            Some((namespace, id.digest, *held))
        })
    }

    /// From here on, remembers the keys of all records that are read.
    pub(crate) fn watch(&mut self) {
        self.mentioned = Some(HashSet::new());
    }

    /// Sets what was found of a key by looking, unless a record has mentioned it meanwhile. Answers
    /// whether that was news.
    pub(crate) fn found(&mut self, key: &Key, held: Option<Held>) -> bool {
        let Some(namespace) = self.intern(key.namespace.clone()) else { return false };
        let id = Id { namespace, digest: key.digest };
        if self.mentioned.as_ref().is_some_and(|mentioned| mentioned.contains(&id)) {
            return false;
        }
        let before = match held {
            Some(held) => self.entries.insert(id, held),
            None => self.entries.remove(&id),
        };
        before != held
    }

    /// The log was written anew, with this length.
    pub(crate) fn has_length(&mut self, end: u64) {
        self.end = end;
    }

    /// A log that says just this.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut log = HEADER.to_vec();
        for (namespace, digest, held) in self.entries() {
            Record { namespace: namespace.encoded(), digest, held: Some(held) }.encode(&mut log);
        }
        log
    }
}
