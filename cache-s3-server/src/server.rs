mod options;
mod port;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
};

use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio_util::sync::CancellationToken;

pub use self::options::ServerOptions;
use self::port::Port;
use crate::{
    Contents, Fault, Log, When, connections,
    fault::Faults,
    forward::Forward,
    s3::InMemory,
    service::{Backend, Service},
    worker::Worker,
};

/// An S3 server on a port of this machine. Dropping it ends it, with what is under way.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    address: SocketAddr,
    contents: Contents,
    log: Log,
    faults: Arc<Faults>,
    running: Mutex<Option<Running>>,
    // So that nobody else is given the port while it does not run.
    _port: Port,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    // Dropping it is the crash.
    worker: Worker,
}

impl Server {
    /// Starts a server; it answers from now on.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, or no thread be started.
    pub fn start(options: ServerOptions) -> io::Result<Self> {
        let contents = options.contents.clone();
        options.buckets.iter().for_each(|bucket| contents.create_bucket(bucket));
        let port = Port::take(options.address)?;
        let listener = TcpListener::bind(port.address)?;
        let server = Self {
            address: listener.local_addr()?,
            options,
            contents,
            log: Log::default(),
            faults: Arc::default(),
            running: Mutex::default(),
            _port: port,
        };
        server.serve(listener)?;
        Ok(server)
    }

    fn serve(&self, listener: TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let stop = CancellationToken::new();
        let (token, service) = (stop.clone(), self.service());
        let worker = Worker::spawn("s3-server", move |crash| async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => connections::serve(listener, Arc::new(service), token, crash).await,
                // Nothing listens: every request fails.
                Err(_) => crash.cancelled().await,
            }
        })?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running { stop, worker });
        Ok(())
    }

    fn service(&self) -> Service {
        let ServerOptions { dialect, min_part_bytes, in_front_of, .. } = self.options;
        let (faults, log) = (Arc::clone(&self.faults), self.log.clone());
        if let Some(other) = in_front_of {
            return Service { backend: Backend::Other(Forward::new(other)), dialect, faults, log };
        }
        let mut s3 =
            S3ServiceBuilder::new(InMemory { contents: self.contents.clone(), dialect, min_part_bytes });
        if !dialect.gcs {
            s3.set_auth(SimpleAuth::from_single(&self.options.key, self.options.secret.as_str()));
        }
        Service { backend: Backend::Own(s3.build()), dialect, faults, log }
    }

    fn take(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes no more connections, and ends when what is under way has been answered, or after 5 s. Contents stay.
    pub fn stop(&self) {
        if let Some(Running { stop, worker }) = self.take() {
            stop.cancel();
            worker.join();
        }
    }

    /// Ends at once, as if killed: all connections are closed, no request is carried out any more. Contents stay.
    pub fn crash(&self) {
        drop(self.take());
    }

    /// Starts again, on the same port and with the same contents. Nothing if it runs.
    ///
    /// # Errors
    ///
    /// If somebody else has taken the port, or no thread can be started.
    pub fn restart(&self) -> io::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        self.serve(port::listen_again(self.address)?)
    }

    /// Whether it answers.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, such as `http://127.0.0.1:41234`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The key that requests have to be signed with.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.options.key
    }

    /// The secret to that key.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.options.secret
    }

    /// What it keeps.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Which requests came in.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Has requests to come fail. Of several faults that one request is for, the first that was asked for is the one.
    pub fn fail(&self, fault: Fault, when: When) {
        self.faults.add(when, fault);
    }

    /// Has no request fail any more. What hangs goes on to hang.
    pub fn mend(&self) {
        self.faults.clear();
    }
}
