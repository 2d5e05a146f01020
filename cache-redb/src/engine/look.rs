//! Looks at the newest snapshot, and what is done when one meets a fault.

use std::{
    future::ready,
    sync::{Arc, PoisonError, RwLockReadGuard},
};

use cache_core::{Error, ErrorKind, Result};
use futures::future::Either;

use super::Engine;
use crate::{
    contain::{Fault, contain_fault},
    queue::Op,
    snapshot::Snapshot,
};

/// A database that was closed under so many looks in a row is not going to be opened.
const LOOKS: usize = 4;

impl Engine {
    /// Looks at the current snapshot, on this thread.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Snapshot) -> Result<T, Fault>) -> Result<T, Look> {
        if self.is_closed() {
            return Err(Look::Closed);
        }
        let snapshot = self.snapshot.load();
        let Some(snapshot) = &*snapshot else { return Err(Look::Gone) };
        match contain_fault(|| look(snapshot)) {
            Ok(found) => Ok(found),
            // It was closed under this look.
            Err(Fault::Refused(error)) if error.kind() == ErrorKind::Closed => Err(Look::Gone),
            Err(fault) => Err(Look::Fault(snapshot.generation, fault)),
        }
    }

    /// As [`look`](Self::look). If that meets a fault, the database is healed before it is told.
    pub(crate) async fn read<T>(
        self: &Arc<Self>,
        operation: &'static str,
        look: impl Fn(&Snapshot) -> Result<T, Fault>,
    ) -> Result<T> {
        self.settled(operation, || ready(Ok(self.look(&look)))).await
    }

    /// As [`read`](Self::read), where waiting for the disk holds up nobody.
    pub(crate) async fn read_blocking<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        look: impl Fn(&Snapshot) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<T> {
        let look = Arc::new(look);
        let hop = || {
            let (engine, look) = (Arc::clone(self), Arc::clone(&look));
            self.tasks.run(operation, move || Ok(engine.look(|snapshot| look(snapshot))))
        };
        self.settled(operation, hop).await
    }

    /// As [`read`](Self::read) where `is_little` is read, else as [`read_blocking`](Self::read_blocking): of rows and
    /// of the reads that they do not tell of yet, which belong together as long as `look` keeps its [`Steady`].
    pub(crate) async fn read_steady<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        is_little: bool,
        look: impl Fn(&Snapshot, Steady<'_>) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<T> {
        let look = Arc::new(look);
        let look = || {
            let (engine, look) = (Arc::clone(self), Arc::clone(&look));
            let steady = move || {
                let steady = engine.switch.read().unwrap_or_else(PoisonError::into_inner);
                engine.look(|snapshot| look(snapshot, steady))
            };
            match is_little && !self.medium.is_cold() {
                true => Either::Left(ready(Ok(steady()))),
                false => Either::Right(self.tasks.run(operation, move || Ok(steady()))),
            }
        };
        self.settled(operation, look).await
    }

    /// Looks again while the database is being opened.
    pub(crate) async fn settled<T, L: Future<Output = Result<Result<T, Look>>>>(
        self: &Arc<Self>,
        operation: &'static str,
        look: impl Fn() -> L,
    ) -> Result<T> {
        for _ in 0..LOOKS {
            if let Some(found) = self.settle(operation, look().await?).await? {
                return Ok(found);
            }
        }
        Err(self.unavailable(operation))
    }

    fn unavailable(&self, operation: &'static str) -> Error {
        let detail = format!("{} cannot be opened again", self.medium.location());
        Error::new(ErrorKind::Unavailable, "redb", operation).with_detail(detail)
    }

    /// What was found, or `None` to look again.
    async fn settle<T>(
        self: &Arc<Self>,
        operation: &'static str,
        look: Result<T, Look>,
    ) -> Result<Option<T>> {
        let (generation, fault) = match look {
            Ok(found) => return Ok(Some(found)),
            Err(Look::Closed) => return Err(self.closed(operation)),
            Err(Look::Gone) => (None, None),
            Err(Look::Fault(_, Fault::Refused(error))) => return Err(error.at("redb", operation)),
            Err(Look::Fault(generation, fault)) => (Some(generation), Some(fault)),
        };
        let error = fault.as_ref().map(|fault| fault.error().clone().at("redb", operation));
        if self.options.read_only {
            return Err(error.unwrap_or_else(|| self.unavailable(operation)));
        }
        let healed = self.ask(operation, |reply| Op::Heal { generation, fault, reply }).await;
        match error {
            Some(error) => Err(error),
            None => healed.map(|()| None),
        }
    }
}

/// No reads move from memory into a snapshot meanwhile, and no commit is shown: it is not for long.
pub(crate) type Steady<'a> = RwLockReadGuard<'a, ()>;

/// Why a look at the database found nothing out.
#[derive(Debug)]
pub(crate) enum Look {
    /// The store was closed.
    Closed,
    /// The database is not open just now.
    Gone,
    /// In this generation of the database.
    Fault(u64, Fault),
}
