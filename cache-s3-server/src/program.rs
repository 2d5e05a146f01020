//! The server as a program, for who has no other executable to start than his own.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use crate::{Server, ServerOptions};

const USAGE: &str = "usage: cache-s3-server ADDRESS [BUCKET...]

Serves buckets from memory until SIGTERM or ctrl-c. Prints `listening ADDRESS` when it does.
Requests have to be signed with the key in CACHE_S3_SERVER_KEY and the secret in CACHE_S3_SERVER_SECRET,
which are AKIDTEST and SECRETTEST if they are not set.";

/// Serves at an address, with buckets that are there from the beginning, until the process is told to end.
pub fn main(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(address) = arguments.next().and_then(|address| address.parse().ok()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(address, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cache-s3-server: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(address: SocketAddr, buckets: impl Iterator<Item = String>) -> io::Result<()> {
    let mut options = ServerOptions::new().with_address(address);
    options.buckets.extend(buckets);
    if let (Some(key), Some(secret)) = (read("CACHE_S3_SERVER_KEY"), read("CACHE_S3_SERVER_SECRET")) {
        options = options.with_credentials(key, secret);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Server::start(options)?;
    runtime.block_on(async {
        // Before anybody is told: who reads it may send a signal at once.
        let end = told_to_end()?;
        let mut out = io::stdout();
        writeln!(out, "listening {}", server.address())?;
        out.flush()?;
        end.await;
        io::Result::Ok(())
    })?;
    server.stop();
    Ok(())
}

fn read(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is where the program reads its environment")]
    std::env::var(name).ok()
}

#[cfg(unix)]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
