//! A server of this crate on a free port.

use std::{io, net::SocketAddr};

use cache::Cache;
use cache_http::{HttpOptions, Serve, router_with, serve};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tokio_util::task::TaskTracker;

use crate::client::Client;

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) cache: Cache,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<io::Result<()>>,
}

impl Server {
    /// An unlimited memory store with default options.
    pub(crate) async fn memory() -> Self {
        Self::of("memory:").await
    }

    /// A store by its URL with default options.
    pub(crate) async fn of(url: &str) -> Self {
        Self::start(cache::open(url).await.unwrap(), HttpOptions::default()).await
    }

    pub(crate) async fn start(cache: Cache, options: HttpOptions) -> Self {
        Self::tuned(cache, options, |serve| serve).await
    }

    pub(crate) async fn tuned(
        cache: Cache,
        options: HttpOptions,
        tune: impl FnOnce(Serve) -> Serve + Send,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let signal = async {
            // A dropped sender is a test that is over.
            let _ = stopped.await;
        };
        let server = serve(listener, router_with(cache.clone(), options)).shutdown_on(signal);
        let ended = TaskTracker::new().spawn(tune(server).into_future());
        Self { addr, cache, stop, ended }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.addr).await
    }

    /// Asks it to end, without waiting.
    pub(crate) fn stop(self) -> JoinHandle<io::Result<()>> {
        let _ = self.stop.send(());
        self.ended
    }
}
