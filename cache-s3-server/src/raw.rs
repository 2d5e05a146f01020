mod answer;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

pub use self::answer::Answer;
use self::answer::Then;
use crate::worker::Worker;

/// Answers every connection with the same bytes, whatever is asked.
#[derive(Debug)]
pub struct Raw {
    address: SocketAddr,
    answer: watch::Sender<Answer>,
    connections: Arc<AtomicU64>,
    _worker: Worker,
}

impl Raw {
    /// Starts to answer.
    ///
    /// # Errors
    ///
    /// If no port can be listened on, or no thread be started.
    pub fn start(answer: Answer) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (answer, answers) = watch::channel(answer);
        let connections = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&connections);
        let worker = Worker::spawn("raw", move |stop| async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                accept(listener, &answers, &count, stop).await;
            }
        })?;
        Ok(Self { address, answer, connections, _worker: worker })
    }

    /// Answers connections to come otherwise.
    pub fn set(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
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
}

async fn accept(
    listener: TcpListener,
    answers: &watch::Receiver<Answer>,
    count: &AtomicU64,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        count.fetch_add(1, Ordering::SeqCst);
        let answer = answers.borrow().clone();
        connections.spawn(async move {
            // A client that has gone away has seen enough.
            let _ = serve(stream, answer).await;
        });
    }
    connections.shutdown().await;
}

async fn serve(mut stream: TcpStream, answer: Answer) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (mut read, mut write) = stream.split();
    let say = async {
        write.write_all(&answer.bytes).await?;
        match answer.then {
            Then::Close => write.shutdown().await,
            Then::Hold => std::future::pending().await,
            Then::Repeat(bytes) => loop {
                write.write_all(&bytes).await?;
            },
        }
    };
    // What a request brings has to be taken, or closing resets the connection and the answer gets lost.
    let listen = async {
        let mut rest = vec![0; 64 << 10];
        while read.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::try_join!(say, listen)?;
    Ok(())
}
