use std::{error::Error as StdError, fmt, io};

use cache_core::{Error, ErrorKind};

/// An error of object_store without the layers that repeat each other, and that print URLs.
pub(super) struct Chain(object_store::Error);

impl Chain {
    pub(super) fn new(error: object_store::Error) -> Self {
        Self(error)
    }

    /// The outermost error that says something of its own.
    fn inner(&self) -> &(dyn StdError + 'static) {
        transport(&self.0).and_then(|error| error.source()).or_else(|| self.0.source()).unwrap_or(&self.0)
    }
}

/// What the caller may look at, where the error itself does not say.
pub(super) fn advice(error: &object_store::Error) -> Option<&'static str> {
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    if find(error) == Some(&crate::http::Stopped::Stranger) {
        return Some("is the endpoint right, and does no network want a log-in?");
    }
    let text = error.to_string();
    let metadata = ["://169.254.", "://[fd00:ec2:", "://metadata.google.internal"];
    metadata.iter().any(|place| text.contains(place)).then_some(
        "no credentials: none in the options, the environment or a file, and none from the machine",
    )
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.inner(), f)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.inner(), f)
    }
}

impl StdError for Chain {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner().source()
    }
}

/// The kind that the causes call for.
pub(super) fn kind(error: &object_store::Error) -> ErrorKind {
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    if let Some(error) = transport(error).and_then(|error| error.downcast_ref()) {
        return transport_kind(error);
    }
    match find::<io::Error>(error) {
        Some(error) => Error::from_io("", "", io::Error::from(error.kind())).kind(),
        None => ErrorKind::Unavailable,
    }
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn transport_kind(error: &object_store::client::HttpError) -> ErrorKind {
    match error.kind() {
        object_store::client::HttpErrorKind::Timeout => ErrorKind::Timeout,
        _ => match find::<crate::http::Stopped>(error) {
            Some(crate::http::Stopped::PlainHttp) => ErrorKind::Invalid,
            Some(crate::http::Stopped::Idle(_)) => ErrorKind::Timeout,
            _ => ErrorKind::Unavailable,
        },
    }
}

/// The innermost error of the transport: one may hold another, with another kind.
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn transport(error: &object_store::Error) -> Option<&(dyn StdError + 'static)> {
    let mut found: Option<&(dyn StdError + 'static)> = None;
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<object_store::client::HttpError>() {
            found = Some(error);
        }
        cause = error.source();
    }
    found
}

#[cfg(not(any(feature = "s3", feature = "gcs", feature = "azure")))]
fn transport(_: &object_store::Error) -> Option<&(dyn StdError + 'static)> {
    None
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
