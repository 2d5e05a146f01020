//! What the writer is asked for, in the order in which it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use cache_core::{Error, ErrorKind, Key, PutMode, PutOutcome, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{
    chunks::Part,
    contain::Fault,
    prepared::{Body, PreparedBlob},
    rows::EntryRow,
};

/// A batch has at most so many operations and bytes.
const BATCH_OPS: usize = 1_024;
const BATCH_BYTES: usize = 8 << 20;
/// The queue has room for so much. An operation takes its bytes in KiB, and at least 8 of these units.
const ROOM: u32 = 32 << 10;
const LEAST: u32 = 8;

pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

pub(crate) enum Op {
    Put(Put),
    /// Pieces of a large blob, which belongs to no entry yet.
    Stage {
        part: Part,
        reply: Reply<()>,
    },
    /// A large blob that may belong to no entry.
    Discard {
        id: u64,
    },
    Remove {
        key: Key,
        only: Only,
        reply: Reply<Option<u64>>,
    },
    /// Removes an entry that was found damaged, which nobody waits for.
    Forsake {
        key: Key,
        only: Only,
    },
    /// Removes entries, in one step, that were not used since: row keys and stamps. Answers their bytes.
    Evict {
        victims: Vec<(Vec<u8>, u64)>,
        reply: Reply<Vec<u64>>,
    },
    /// Writes down what was read.
    Drain {
        reply: Option<Reply<()>>,
    },
    Flush {
        reply: Reply<u64>,
    },
    /// Somebody met a fault in this generation of the database, or none that is open.
    Heal {
        generation: Option<u64>,
        fault: Option<Fault>,
        reply: Reply<()>,
    },
    /// Makes the file smaller, if that is worth it.
    Compact {
        reply: Reply<()>,
    },
    /// The last operation.
    Close {
        reply: Reply<()>,
    },
}

pub(crate) struct Put {
    pub(crate) key: Key,
    pub(crate) mode: PutMode,
    /// When what it adds was made.
    pub(crate) created: SystemTime,
    pub(crate) blobs: Vec<PreparedBlob>,
    /// Answers the bytes that were stored, too.
    pub(crate) reply: Reply<(PutOutcome, u64)>,
}

impl Put {
    /// The entry is stored: what of it was uploaded is not to be discarded, unless it may not have been wanted.
    pub(crate) fn keep(&self) {
        if self.mode == PutMode::Fill {
            return;
        }
        for blob in &self.blobs {
            if let Body::Chunked(chunked) = &blob.body {
                chunked.upload.keep();
            }
        }
    }
}

/// Which version of an entry is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    Any,
    /// The one that this put wrote, which was found damaged.
    Version(u64),
    /// One with a large blob of this number, which was found damaged.
    WithChunks(u64),
    /// One whose row cannot be read.
    Unreadable,
}

impl Only {
    /// Whether this is the version that is meant.
    pub(crate) fn is(self, row: &EntryRow) -> bool {
        match self {
            Self::Any => true,
            Self::Version(version) => row.version == version,
            Self::WithChunks(id) => row.blobs.iter().any(|blob| blob.id == Some(id)),
            Self::Unreadable => false,
        }
    }

    /// Whether what has no row that can be read is meant.
    pub(crate) fn takes_unreadable(self) -> bool {
        matches!(self, Self::Any | Self::Unreadable)
    }
}

impl Op {
    /// Whether it is done together with others in one transaction.
    fn is_for_batch(&self) -> bool {
        !matches!(self, Self::Flush { .. } | Self::Heal { .. } | Self::Compact { .. } | Self::Close { .. })
    }

    /// Whether it changes what an entry is.
    pub(crate) fn is_a_change(&self) -> bool {
        matches!(self, Self::Put(_) | Self::Remove { .. } | Self::Evict { .. })
    }

    /// Whether nobody waits for it any more, and it does not matter then.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Put(put) => put.reply.is_closed(),
            Self::Stage { reply, .. } => reply.is_closed(),
            Self::Remove { reply, .. } => reply.is_closed(),
            Self::Evict { reply, .. } => reply.is_closed(),
            _ => false,
        }
    }

    /// Tells that it could not be done.
    pub(crate) fn fail(self, error: &Error) {
        let error = error.clone();
        match self {
            Self::Put(put) => _ = put.reply.send(Err(error)),
            Self::Stage { reply, .. } => _ = reply.send(Err(error)),
            Self::Remove { reply, .. } => _ = reply.send(Err(error)),
            Self::Evict { reply, .. } => _ = reply.send(Err(error)),
            Self::Flush { reply } => _ = reply.send(Err(error)),
            Self::Heal { reply, .. }
            | Self::Compact { reply }
            | Self::Drain { reply: Some(reply) }
            | Self::Close { reply } => {
                _ = reply.send(Err(error));
            }
            Self::Discard { .. } | Self::Forsake { .. } | Self::Drain { .. } => {}
        }
    }

    /// What it writes.
    fn bytes(&self) -> usize {
        let bytes = match self {
            Self::Put(put) => put.blobs.iter().map(PreparedBlob::in_hand).fold(0, u64::saturating_add),
            Self::Stage { part, .. } => part.bytes(),
            _ => 0,
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// An operation, with the room that it takes.
pub(crate) struct Queued {
    pub(crate) op: Op,
    _room: Option<OwnedSemaphorePermit>,
}

/// What is to be done next.
pub(crate) enum Next {
    /// All of it in one transaction.
    Batch(Vec<Queued>),
    Alone(Queued),
}

pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    room: Arc<Semaphore>,
    batch_bytes: usize,
}

#[derive(Default)]
struct Waiting {
    ops: VecDeque<Queued>,
    /// Whether a writer is at work, which will see what is added.
    is_worked: bool,
    is_closed: bool,
}

impl Queue {
    /// For a store of so many bytes: a batch is a small part of them.
    pub(crate) fn new(max_bytes: Option<u64>) -> Self {
        let part = max_bytes.map_or(BATCH_BYTES, |max| usize::try_from(max / 32).unwrap_or(BATCH_BYTES));
        let room = Arc::new(Semaphore::new(usize::try_from(ROOM).unwrap_or(1)));
        Self { waiting: Mutex::default(), room, batch_bytes: part.min(BATCH_BYTES) }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().ops.len()
    }

    /// Waits for room, and adds an operation. Answers whether the caller is to start a writer.
    pub(crate) async fn push(&self, op: Op) -> Result<bool> {
        let units = u32::try_from(op.bytes() >> 10).unwrap_or(ROOM).clamp(LEAST, ROOM);
        let closed = || Error::new(ErrorKind::Closed, "", "");
        let room = Arc::clone(&self.room).acquire_many_owned(units).await.map_err(|_| closed())?;
        self.add(Queued { op, _room: Some(room) }).ok_or_else(closed)
    }

    /// As [`push`](Self::push), without waiting for room: for what takes none.
    pub(crate) fn push_now(&self, op: Op) -> Option<bool> {
        self.add(Queued { op, _room: None })
    }

    fn add(&self, queued: Queued) -> Option<bool> {
        let mut waiting = self.lock();
        let closes = matches!(queued.op, Op::Close { .. });
        // Who closes again while a writer does so waits for that.
        if waiting.is_closed && !(closes && waiting.is_worked) {
            return None;
        }
        waiting.is_closed = closes;
        waiting.ops.push_back(queued);
        Some(!std::mem::replace(&mut waiting.is_worked, true))
    }

    /// The next operations, or `None` if there are none.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut waiting = self.lock();
        let first = waiting.ops.pop_front()?;
        if !first.op.is_for_batch() {
            return Some(Next::Alone(first));
        }
        let most = self.batch_bytes;
        let mut bytes = first.op.bytes();
        let mut batch = vec![first];
        while batch.len() < BATCH_OPS
            && let Some(queued) = waiting.ops.front()
            && queued.op.is_for_batch()
            && bytes < most
        {
            bytes = bytes.saturating_add(queued.op.bytes());
            batch.extend(waiting.ops.pop_front());
        }
        Some(Next::Batch(batch))
    }

    /// Takes the flushes that stand next: one commit does for all.
    pub(crate) fn next_flushes(&self) -> Vec<Queued> {
        let mut waiting = self.lock();
        let mut flushes = Vec::new();
        while waiting.ops.front().is_some_and(|queued| matches!(queued.op, Op::Flush { .. })) {
            flushes.extend(waiting.ops.pop_front());
        }
        flushes
    }

    /// Ends the writer's work, unless there is more to do.
    pub(crate) fn rest(&self) -> bool {
        let mut waiting = self.lock();
        let done = waiting.ops.is_empty();
        waiting.is_worked = !done;
        done
    }
}
