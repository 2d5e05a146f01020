use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

/// How long somebody may hold on to a listener that was closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// An address that nobody is given who asks for any, whether somebody listens there or not.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) address: SocketAddr,
    // Bound, and never listened on: who connects is refused, and who asks for this address may listen on it.
    #[cfg(target_os = "linux")]
    _bound: tokio::net::TcpSocket,
}

impl Port {
    #[cfg(target_os = "linux")]
    pub(super) fn take(address: SocketAddr) -> io::Result<Self> {
        use tokio::net::TcpSocket;

        let bound = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        bound.set_reuseaddr(true)?;
        bound.bind(address)?;
        Ok(Self { address: bound.local_addr()?, _bound: bound })
    }

    /// Elsewhere two sockets cannot have one address.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn take(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address })
    }
}

/// Listens on an address of our own. A program that another thread is just starting has a copy of the listener that was
/// closed, until it has begun.
pub(super) fn listen_again(address: SocketAddr) -> io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            bound => return bound,
        }
    }
}
