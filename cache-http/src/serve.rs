use std::{
    fmt,
    future::pending,
    io::{self, ErrorKind},
    time::Duration,
};

use axum::Router;
use cache::Cache;
use futures::{FutureExt, future::BoxFuture};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::connection::{self, Limits};

/// Serves `router` on `listener` with the socket options that build tools need: no Nagle delay,
/// acknowledgements at once, connections that live through a build.
///
/// Any router will do; [`router`](crate::router) alone or nested in an application.
pub fn serve(listener: TcpListener, router: Router) -> Serve {
    Serve {
        listener,
        router,
        signal: pending().boxed(),
        flush: None,
        drain_within: Duration::from_secs(10),
        limits: Limits { head_within: Duration::from_secs(30), take_within: Duration::from_secs(30) },
    }
}

/// A server that runs when it is awaited: see [`serve`].
///
/// It ends in an error only if the flush fails that [`flush`](Self::flush) asks for. Failures to
/// accept a connection are logged and tried again.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and cuts all connections; an upload under way leaves the
/// old value or the new one.
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve {
    listener: TcpListener,
    router: Router,
    signal: BoxFuture<'static, ()>,
    flush: Option<Cache>,
    drain_within: Duration,
    limits: Limits,
}

impl Serve {
    /// Ends the server once `signal` is ready: no new connections, requests under way are finished.
    pub fn shutdown_on(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = signal.boxed();
        self
    }

    /// Flushes `cache` after the last request; a failure to do so is the server's.
    pub fn flush(mut self, cache: Cache) -> Self {
        self.flush = Some(cache);
        self
    }

    /// Cuts requests that are not finished so long after the signal, 10 s by default: what process
    /// managers commonly wait before they kill.
    pub fn drain_within(mut self, limit: Duration) -> Self {
        self.drain_within = limit;
        self
    }

    /// Cuts a connection on which a request's head has begun and is not complete after so long, 30 s by
    /// default. A connection on which none has begun may stay for 150 s, and so may one whose head began in
    /// the same packet as the end of the request before.
    pub fn head_within(mut self, limit: Duration) -> Self {
        self.limits.head_within = limit;
        self
    }

    /// Cuts a connection whose client takes nothing of an answer for so long, 30 s by default.
    pub fn take_within(mut self, limit: Duration) -> Self {
        self.limits.take_within = limit;
        self
    }

    async fn run(self) -> io::Result<()> {
        let Self { listener, router, mut signal, flush, drain_within, limits } = self;
        let connections = TaskTracker::new();
        let graceful = GracefulShutdown::new();
        let cut = CancellationToken::new();
        let cut_on_drop = cut.clone().drop_guard();
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut signal => break,
                stream = accept(&listener) => stream,
            };
            let connection = connection::run(stream, router.clone(), limits, graceful.watcher());
            connections.spawn(cut.clone().run_until_cancelled_owned(connection));
        }
        drop(listener);
        connections.close();
        if tokio::time::timeout(drain_within, graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections were cut at the end");
        }
        drop(cut_on_drop);
        connections.wait().await;
        match flush {
            Some(cache) => cache.flush().await.map(drop).map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

/// The next connection. A lack of descriptors or memory ends with other connections, so it is waited out.
async fn accept(listener: &TcpListener) -> TcpStream {
    let mut pause = Duration::from_millis(20);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

impl IntoFuture for Serve {
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        self.run().boxed()
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("flush", &self.flush.is_some())
            .field("drain_within", &self.drain_within)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
