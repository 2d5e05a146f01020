use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use object_store::client::{HttpError, HttpErrorKind, HttpResponseBody};
use tokio::time::{Sleep, sleep};

/// A body that promises no length, waits for so long only, and ends at a cap.
#[derive(Debug)]
pub(super) struct Bounded {
    inner: HttpResponseBody,
    idle: Duration,
    /// Runs while the next bytes are waited for.
    waiting: Option<Pin<Box<Sleep>>>,
    /// How many bytes may still come, if there is a cap.
    left: Option<u64>,
}

/// Why a body, or the answer that it belongs to, was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the server sent nothing for {0:?}")]
    Idle(Duration),
    #[error("the answer is longer than any that was asked for")]
    TooLong,
    #[error("the answer is not that of an object store")]
    Stranger,
    #[error("the server's URL is plain HTTP, which needs to be allowed")]
    PlainHttp,
}

impl From<Stopped> for HttpError {
    fn from(stopped: Stopped) -> Self {
        let kind = match stopped {
            Stopped::Idle(_) => HttpErrorKind::Timeout,
            Stopped::TooLong | Stopped::Stranger => HttpErrorKind::Decode,
            Stopped::PlainHttp => HttpErrorKind::Unknown,
        };
        Self::new(kind, stopped)
    }
}

impl Bounded {
    pub(super) fn new(inner: HttpResponseBody, idle: Duration, cap: Option<u64>) -> Self {
        Self { inner, idle, waiting: None, left: cap }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Stopped> {
        let Some(left) = &mut self.left else { return Ok(()) };
        *left = left.checked_sub(bytes as u64).ok_or(Stopped::TooLong)?;
        Ok(())
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
            let idle = this.idle;
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(idle)));
            return waiting.as_mut().poll(context).map(|()| Some(Err(Stopped::Idle(idle).into())));
        };
        this.waiting = None;
        let frame = frame.map(|frame| {
            let frame = frame?;
            this.count(frame.data_ref().map_or(0, Bytes::len))?;
            Ok(frame)
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    // `size_hint` stays the default: it comes from `Content-Length`, and readers reserve memory by it.
}
