mod pump;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::pump::{End, pump};
use crate::worker::Worker;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What becomes of the bytes of every connection. Offsets count what a connection carries in that direction since it was
/// opened or this was set, whichever was later; heads of requests and answers are counted, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disturbance {
    /// They get through.
    #[default]
    None,
    /// They get through so much later, in each direction, 16 KiB at a time.
    Latency(Duration),
    /// No more than so many a second get through, a few at a time.
    Rate(Direction, u64),
    /// From this one on they get lost, and the connection is closed.
    Cut(Direction, u64),
    /// From this one on they get lost, and the connection is reset.
    Reset(Direction, u64),
    /// From this one on they get lost, and the connection stays open until something else is set.
    Hang(Direction, u64),
    /// The lowest bit of this one is another one.
    Flip(Direction, u64),
    /// They get lost, and the connection is reset, before a byte has got through.
    Refuse,
}

impl Disturbance {
    /// What it is for bytes that go this way.
    fn towards(self, direction: Direction) -> Self {
        match self {
            Self::Rate(way, _)
            | Self::Cut(way, _)
            | Self::Reset(way, _)
            | Self::Hang(way, _)
            | Self::Flip(way, _)
                if way != direction =>
            {
                Self::None
            }
            _ => self,
        }
    }
}

/// Stands between clients and a server and disturbs what goes by. Its own address stays when the server's changes.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    settings: watch::Sender<Settings>,
    _worker: Worker,
}

#[derive(Clone, Debug)]
struct Settings {
    upstream: SocketAddr,
    disturbance: Disturbance,
    /// Bytes wait as long as this is set.
    frozen: bool,
    /// Offsets count from where this has changed.
    epoch: u64,
}

impl Proxy {
    /// Starts to hand connections on to `upstream`, undisturbed.
    ///
    /// # Errors
    ///
    /// If no port can be listened on, or no thread be started.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let initial = Settings { upstream, disturbance: Disturbance::None, frozen: false, epoch: 0 };
        let (settings, receiver) = watch::channel(initial);
        let worker = Worker::spawn("proxy", move |stop| async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                accept(listener, receiver, stop).await;
            }
        })?;
        Ok(Self { address, settings, _worker: worker })
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

    /// Disturbs all connections, those that there are and those to come. Ends a [`freeze`](Self::freeze).
    pub fn set(&self, disturbance: Disturbance) {
        self.settings.send_modify(|settings| {
            settings.disturbance = disturbance;
            settings.frozen = false;
            settings.epoch += 1;
        });
    }

    /// Closes all connections, and hands those to come on to another server.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.settings.send_modify(|settings| {
            settings.upstream = upstream;
        });
    }

    /// No bytes get through any more, of connections that there are and that are to come.
    pub fn freeze(&self) {
        self.settings.send_modify(|settings| settings.frozen = true);
    }

    /// The bytes that wait, and those to come, get through.
    pub fn thaw(&self) {
        self.settings.send_modify(|settings| settings.frozen = false);
    }
}

async fn accept(listener: TcpListener, settings: watch::Receiver<Settings>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        connections.spawn(hand_on(client, settings.clone()));
    }
    connections.shutdown().await;
}

async fn hand_on(client: TcpStream, settings: watch::Receiver<Settings>) {
    let Settings { upstream, disturbance, .. } = settings.borrow().clone();
    if disturbance == Disturbance::Refuse {
        let _ = client.set_zero_linger();
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut elsewhere = settings.clone();
    let end = tokio::select! {
        end = pump(&client, &server, Direction::Up, settings.clone()) => end,
        end = pump(&server, &client, Direction::Down, settings) => end,
        _ = elsewhere.wait_for(|settings| settings.upstream != upstream) => End::Close,
    };
    if end == End::Reset {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}
