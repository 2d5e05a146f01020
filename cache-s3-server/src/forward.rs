use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use s3s::Body;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// Hands requests on as they are. Connections are used again: a system has not many thousands of ports.
#[derive(Debug)]
pub(crate) struct Forward {
    to: SocketAddr,
    idle: Mutex<Vec<SendRequest<Incoming>>>,
    /// They end with the runtime at the latest.
    connections: TaskTracker,
}

impl Forward {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, idle: Mutex::default(), connections: TaskTracker::new() }
    }

    /// A connection on which everything was answered.
    fn idle(&self) -> Option<SendRequest<Incoming>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        let ready = idle.iter().position(SendRequest::is_ready)?;
        Some(idle.swap_remove(ready))
    }

    async fn connect(&self) -> io::Result<SendRequest<Incoming>> {
        let stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        self.connections.spawn(connection);
        Ok(sender)
    }

    pub(crate) async fn send(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let mut sender = match self.idle() {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(answer.map(Body::from))
    }
}
