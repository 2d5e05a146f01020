//! What goes wrong below is told apart by what it takes to go on, and no panic of the database gets out.
//!
//! The database trusts what it reads: a damaged page may make it panic. Where a panic aborts the process, as
//! `panic = "abort"` has it, that cannot be helped; what would panic twice is not read (`checked_pages.rs`).

use std::{
    any::Any,
    io,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cache_core::{Error, ErrorKind};

/// Why the database could not do something.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The file is damaged: it has to be set aside.
    Damaged(Error),
    /// The file system failed, or the database gave up after it had: the file has to be opened again, and what was
    /// not durable is lost.
    Failed(Error),
    /// Only this operation failed.
    Refused(Error),
}

impl Fault {
    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::Damaged(error) | Self::Failed(error) | Self::Refused(error) => error,
        }
    }

    /// The same fault with another error for it.
    pub(crate) fn map(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::Damaged(error) => Self::Damaged(change(error)),
            Self::Failed(error) => Self::Failed(change(error)),
            Self::Refused(error) => Self::Refused(change(error)),
        }
    }

    /// The file system fails, or somebody else has the file.
    pub(crate) fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy => {
                Self::Refused(Error::new(ErrorKind::Locked, "", "").with_source(error))
            }
            _ => Self::Failed(Error::from_io("", "", error)),
        }
    }

    /// The file is damaged.
    pub(crate) fn damaged(detail: impl Into<String>) -> Self {
        Self::Damaged(Error::corrupt(detail.into()))
    }

    /// Only this operation fails.
    pub(crate) fn refused(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self::Refused(Error::new(kind, "", "").with_detail(detail.into()))
    }
}

/// Works with the database. A panic in it is damage.
pub(crate) fn contain<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Fault> {
    contain_fault(|| work().map_err(Fault::from))
}

/// Like [`contain`], for work that tells faults apart itself: `?` takes each error of the database.
pub(crate) fn contain_fault<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> Fault {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Fault::damaged(format!("the database panicked: {text}"))
}

/// Something of the database's: what it does when it is dropped may panic like everything else, and does not.
#[derive(Debug)]
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self(Some(inner))
    }
}

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(inner) => inner,
            None => unreachable!("it is taken when it is dropped"),
        }
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        _ = catch_unwind(AssertUnwindSafe(|| drop(inner)));
    }
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Self {
        use redb::Error as Redb;
        let of = |kind| Error::new(kind, "", "");
        match error {
            Redb::Io(error) => match error.kind() {
                // What the pages refer to is not there.
                io::ErrorKind::UnexpectedEof => {
                    Self::Damaged(Error::corrupt("the database is cut short").with_source(error))
                }
                // It is not what they refer to, or no database.
                io::ErrorKind::InvalidData => {
                    Self::Damaged(Error::corrupt("the database is damaged").with_source(error))
                }
                _ => Self::io(error),
            },
            Redb::Corrupted(_) => Self::Damaged(Error::corrupt("the database is damaged").with_source(error)),
            // The tables are made once, all of one type, and their keys are in order.
            Redb::TableTypeMismatch { .. }
            | Redb::TableIsMultimap(_)
            | Redb::TableIsNotMultimap(_)
            | Redb::TypeDefinitionChanged { .. }
            | Redb::TableDoesNotExist(_)
            | Redb::UnorderedKey => {
                Self::Damaged(Error::corrupt("the database's tables are damaged").with_source(error))
            }
            Redb::PreviousIo | Redb::TransactionPoisoned | Redb::LockPoisoned(_) => {
                Self::Failed(of(ErrorKind::Unavailable).with_source(error))
            }
            Redb::DatabaseClosed => Self::Refused(of(ErrorKind::Closed)),
            Redb::DatabaseAlreadyOpen | Redb::LockProtocolMismatch => {
                Self::Refused(of(ErrorKind::Locked).with_source(error))
            }
            Redb::UpgradeRequired(_) | Redb::Unsupported => {
                Self::Refused(of(ErrorKind::Unsupported).with_source(error))
            }
            Redb::RepairAborted | Redb::TransactionInProgress | Redb::WouldBlock => {
                Self::Refused(of(ErrorKind::Unavailable).with_source(error))
            }
            Redb::ValueTooLarge(_) => Self::Refused(of(ErrorKind::TooLarge).with_source(error)),
            // It would keep its transaction alive.
            Redb::ReadTransactionStillInUse(_) => Self::Refused(of(ErrorKind::Internal)),
            // Savepoints and such, which are not used.
            error => Self::Refused(of(ErrorKind::Internal).with_source(error)),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb!(
    CommitError,
    CompactionError,
    CursorError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

#[cfg(test)]
mod tests;
