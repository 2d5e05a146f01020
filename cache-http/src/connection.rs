//! One client's connection: socket options, time limits, and an orderly end.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{rt::TokioIo, server::graceful::Watcher};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tower::ServiceExt;

use crate::head_timer::HeadTimer;

/// Clients keep connections for the whole of a build and pause for as long as one compilation takes.
const IDLE_WITHIN: Duration = Duration::from_secs(150);

/// How long a client whose body was not read is given to read the answer.
const LINGER: Duration = Duration::from_secs(5);

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the first byte of a request's head to its last.
    pub(crate) head_within: Duration,
    /// While the client takes nothing of an answer that is ready for it.
    pub(crate) take_within: Duration,
}

/// Serves one connection until either side is done with it, or `watcher` asks for its end.
pub(crate) async fn run(stream: TcpStream, router: Router, limits: Limits, watcher: Watcher) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was not set");
    }
    let arrived = Arc::new(AtomicBool::new(false));
    let unread = Arc::new(AtomicBool::new(false));
    let socket = Socket {
        stream,
        arrived: arrived.clone(),
        unread: unread.clone(),
        end: End::Open,
        take_within: limits.take_within,
        stalled: None,
    };
    let service = service_fn(move |request: Request<Incoming>| {
        unread.store(false, Ordering::Relaxed);
        let unread = unread.clone();
        let body = |inner| RequestBody { inner, unread, ended: false };
        router.clone().oneshot(request.map(body))
    });
    let connection = http1::Builder::new()
        .timer(HeadTimer::new(arrived, limits.head_within))
        .header_read_timeout(IDLE_WITHIN)
        .serve_connection(TokioIo::new(socket), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A request's body that notes whether it was left unread.
struct RequestBody {
    inner: Incoming,
    unread: Arc<AtomicBool>,
    ended: bool,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.ended = frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.inner.is_end_stream() {
            self.unread.store(true, Ordering::Relaxed);
        }
    }
}

/// A socket that acknowledges at once, and that closes without losing its last answer.
struct Socket {
    stream: TcpStream,
    arrived: Arc<AtomicBool>,
    unread: Arc<AtomicBool>,
    end: End,
    take_within: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Fails a write that has been waiting for too long.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.take_within)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

enum End {
    Open,
    Lingering(Pin<Box<Sleep>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // ccache writes head and body apart with Nagle's algorithm on, so the body waits for the
        // acknowledgement of the head: 40 ms if it is delayed. The kernel forgets the option as it goes.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = self.stream.set_quickack(true);
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.arrived.store(true, Ordering::Relaxed);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends the sending side. If a body was left unread, reads on and drops what comes: closing a
    /// socket with unread bytes resets it, and the client would lose the answer, a 413 say.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let End::Open = this.end {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            this.end = End::Lingering(Box::pin(tokio::time::sleep(LINGER)));
        }
        let End::Lingering(sleep) = &mut this.end else { return Poll::Ready(Ok(())) };
        if !this.unread.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 8192];
        while sleep.as_mut().poll(cx).is_pending() {
            let mut dropped = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut dropped));
            if read.is_err() || dropped.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
