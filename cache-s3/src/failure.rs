//! What went wrong, from the words of object stores into those of caches.

mod answer;
mod chain;

use std::{error::Error as StdError, fmt, time::Duration};

use cache_core::{Error, ErrorKind, Key};

use crate::STORE;
pub(crate) use answer::Answer;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub(crate) use answer::{element, shorten};
use chain::Chain;

/// Why a call did not give what it was to give.
pub(crate) struct Failure {
    operation: &'static str,
    cause: Cause,
}

enum Cause {
    Store(object_store::Error),
    /// The deadline.
    Late(Duration),
    NoRuntime,
    /// What object_store has no part in.
    Own(Error),
}

/// What is not there, as far as an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    Object,
    /// The bucket or the container: nothing can be said about objects.
    Bucket,
    /// The answer may be that of somebody else, such as a proxy.
    Unclear,
}

impl Failure {
    pub(crate) fn new(operation: &'static str, error: object_store::Error) -> Self {
        Self { operation, cause: Cause::Store(error) }
    }

    pub(crate) fn late(operation: &'static str, within: Duration) -> Self {
        Self { operation, cause: Cause::Late(within) }
    }

    pub(crate) fn no_runtime(operation: &'static str) -> Self {
        Self { operation, cause: Cause::NoRuntime }
    }

    pub(crate) fn own(operation: &'static str, error: Error) -> Self {
        Self { operation, cause: Cause::Own(error) }
    }

    /// The same in this operation.
    pub(crate) fn at(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// Whether credentials are refused that may be others when they are asked for anew.
    pub(crate) fn is_expired(&self) -> bool {
        self.store_error().is_some_and(is_expired)
    }

    /// Whether somebody has answered, and not that he cannot just now.
    pub(crate) fn is_answer(&self) -> bool {
        self.store_error().is_some_and(|error| {
            !matches!(kind(error, Answer::of(error).as_ref()), ErrorKind::Unavailable | ErrorKind::Timeout)
        })
    }

    /// The error of object_store, if it is one.
    pub(crate) fn store_error(&self) -> Option<&object_store::Error> {
        match &self.cause {
            Cause::Store(error) => Some(error),
            Cause::Late(_) | Cause::NoRuntime | Cause::Own(_) => None,
        }
    }

    /// What is not there, if something is not. Only an absent [`Object`](Absence::Object) is a miss.
    pub(crate) fn absence(&self) -> Option<Absence> {
        self.store_error().and_then(absence)
    }

    /// Whether a condition of the request did not hold: an object is there, or has changed.
    pub(crate) fn is_precondition(&self) -> bool {
        self.store_error().is_some_and(is_precondition)
    }

    /// Whether the object has none of the bytes that were asked for.
    pub(crate) fn is_out_of_range(&self) -> bool {
        self.store_error().and_then(Answer::of).is_some_and(|answer| answer.status == Some(416))
    }

    /// Whether all of an object came where a part was asked for.
    pub(crate) fn is_whole(&self) -> bool {
        let mut cause = self.store_error().map(|error| error as &(dyn StdError + 'static));
        while let Some(error) = cause {
            if error.to_string().starts_with("Received non-partial response") {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Whether the server does not know how to do it.
    pub(crate) fn is_unsupported(&self) -> bool {
        self.store_error().is_some_and(is_unsupported)
    }

    /// The error for the caller, about the key if it is about one.
    pub(crate) fn into_error(self, key: Option<&Key>) -> Error {
        let operation = self.operation;
        let error = match self.cause {
            Cause::Store(error) => from_object_store(error),
            Cause::Late(within) => {
                Error::new(ErrorKind::Timeout, "", "").with_detail(format!("no answer in {within:?}"))
            }
            Cause::NoRuntime => {
                Error::new(ErrorKind::Unsupported, "", "").with_detail("needs a tokio runtime with a timer")
            }
            Cause::Own(error) => error,
        };
        let error = error.at(STORE, operation);
        match key {
            Some(key) => error.with_key(key),
            None => error,
        }
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::new("", error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::own("", error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Failure");
        f.field("operation", &self.operation);
        match &self.cause {
            // Not what object_store prints, which has whole URLs.
            Cause::Store(error) => f.field("kind", &kind(error, Answer::of(error).as_ref())),
            Cause::Late(within) => f.field("late", within),
            Cause::NoRuntime => f.field("runtime", &false),
            Cause::Own(error) => f.field("error", error),
        };
        f.finish_non_exhaustive()
    }
}

/// An error of object_store in the words of caches, without store and operation. It says nothing twice and quotes
/// nothing of the request.
pub(crate) fn from_object_store(error: object_store::Error) -> Error {
    let answer = Answer::of(&error);
    let result = Error::new(kind(&error, answer.as_ref()), "", "");
    match (chain::advice(&error), answer) {
        (Some(advice), Some(answer)) => result.with_detail(format!("{advice}: {answer}")),
        (None, Some(answer)) => result.with_detail(answer.to_string()),
        (Some(advice), None) => result.with_detail(advice).with_source(Chain::new(error)),
        (None, None) => result.with_source(Chain::new(error)),
    }
}

pub(crate) fn absence(error: &object_store::Error) -> Option<Absence> {
    // A listing's 404 is not the variant, but has the answer.
    match Answer::of(error) {
        Some(answer) if answer.status == Some(404) => Some(answer.absence()),
        Some(_) => None,
        None => matches!(error, object_store::Error::NotFound { .. }).then_some(Absence::Object),
    }
}

/// Whether credentials are refused that may be others when they are asked for anew.
pub(crate) fn is_expired(error: &object_store::Error) -> bool {
    Answer::of(error).is_some_and(|answer| answer.is_expired())
}

pub(crate) fn is_precondition(error: &object_store::Error) -> bool {
    use object_store::Error::{AlreadyExists, NotModified, Precondition};
    matches!(error, AlreadyExists { .. } | Precondition { .. } | NotModified { .. })
}

pub(crate) fn is_unsupported(error: &object_store::Error) -> bool {
    use object_store::Error::{NotImplemented, NotSupported};
    matches!(error, NotImplemented { .. } | NotSupported { .. })
        || Answer::of(error).is_some_and(|answer| answer.is_unsupported())
}

fn kind(error: &object_store::Error, answer: Option<&Answer>) -> ErrorKind {
    use object_store::Error as Store;
    if let Some(answer) = answer {
        return answer.kind();
    }
    match error {
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => ErrorKind::Denied,
        Store::NotImplemented { .. } | Store::NotSupported { .. } => ErrorKind::Unsupported,
        Store::InvalidPath { .. } | Store::UnknownConfigurationKey { .. } => ErrorKind::Invalid,
        _ => chain::kind(error),
    }
}

#[cfg(test)]
mod tests;
