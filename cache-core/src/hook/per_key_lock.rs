use async_trait::async_trait;

use super::table::{Mode, Table};
use crate::{Guard, Intent, Key, Operation, OperationHook, Result, Target};

/// Lets reads of a key share and writes of it exclude; different keys do not hinder each other.
///
/// | an operation that | excludes                        | shares with             |
/// |-------------------|---------------------------------|-------------------------|
/// | reads a key       | its writes                      | all else                |
/// | writes a key      | all else of the key, wide reads | other keys              |
/// | reads more        | all writes                      | all reads               |
/// | writes more       | everything                      | nothing                 |
///
/// More than a key is a prefix, a namespace or the store; these are not told apart, so that a clean of
/// one namespace waits for the writes of all. Whoever came first goes first: a stream of readers cannot
/// keep a writer out.
///
/// Nested operations may take what those around them hold, so a computation may read the key that it is
/// computed for. A read that turns into a write inside of itself waits for the other readers only.
/// Where operations would wait for each other for ever (two that read a key and then both write it; one
/// that holds A and wants B while another holds B and wants A), the last to begin the wait is refused
/// with [`Invalid`](crate::ErrorKind::Invalid). Operations side by side inside of one share what that
/// one holds, and there they must keep out of each other's way themselves; for all else they exclude
/// each other like any.
///
/// A nested operation in a task of its own is a stranger, unless it is [`carried`](crate::carried). This
/// lock knows no other: behind a [`Limited`](crate::Limited), put that first. A key that is used costs
/// a few hundred bytes, one that is not nothing. One lock guards the bookkeeping, for well under a
/// microsecond per operation.
#[derive(Debug, Default)]
pub struct PerKeyLock {
    table: Table<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// All keys.
    Root,
    Key(Key),
}

/// What an operation takes: the root, then its key. The keys below a root that is held whole are free.
fn needs(operation: &Operation) -> (Mode, Option<(Node, Mode)>) {
    match (&operation.target, operation.intent) {
        (Target::Key(key), Intent::Read) => {
            (Mode::IntentShared, Some((Node::Key(key.clone()), Mode::Shared)))
        }
        (Target::Key(key), Intent::Write) => {
            (Mode::IntentExclusive, Some((Node::Key(key.clone()), Mode::Exclusive)))
        }
        (_, Intent::Read) => (Mode::Shared, None),
        (_, Intent::Write) => (Mode::Exclusive, None),
    }
}

#[async_trait]
impl OperationHook for PerKeyLock {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        let (mode, key) = needs(operation);
        let root = self.table.lock(operation, Node::Root, mode).await?;
        let Some((key, mode)) = key else { return Ok(Guard::holding(root)) };
        let key = self.table.lock(operation, key, mode).await?;
        // Given back in this order.
        Ok(Guard::holding((key, root)))
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        let (mode, key) = needs(operation);
        let root = self.table.try_lock(operation, Node::Root, mode)?;
        let Some((key, mode)) = key else { return Some(Guard::holding(root)) };
        let key = self.table.try_lock(operation, key, mode)?;
        Some(Guard::holding((key, root)))
    }
}

#[cfg(test)]
mod tests;
