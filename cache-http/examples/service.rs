//! A web service that carries a cache for build tools below `/cache`.
//!
//! `cargo run -p cache-http --example service` serves until Ctrl-C; with `--once` the service puts and
//! gets one artifact through its own front door and ends.

use std::{error::Error, net::SocketAddr, pin::pin};

use axum::{Router, routing::get};
use cache::Digest;
use futures::future::{Either, select};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let directory = tempfile::tempdir()?;
    let disk = format!("disk:{}", directory.path().display());
    let cache = cache::open_tiers(["memory:?max_size=256MB", &disk]).await?;

    let app = Router::new()
        .route("/", get(async || "a service of its own\n"))
        .nest("/cache", cache_http::router(cache.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    println!("serving on http://{addr}, the cache on http://{addr}/cache");

    let (stop, stopped) = oneshot::channel();
    let server = cache_http::serve(listener, app).flush(cache).shutdown_on(async {
        let _ = stopped.await;
    });
    let visit = async {
        if std::env::args().any(|argument| argument == "--once") {
            visit(addr).await
        } else {
            Ok(tokio::signal::ctrl_c().await?)
        }
    };
    // The server runs while the visitor is busy, and then drains and flushes.
    match select(server.into_future(), pin!(visit)).await {
        Either::Left((ended, _)) => Ok(ended?),
        Either::Right((visited, server)) => {
            let _ = stop.send(());
            server.await?;
            visited
        }
    }
}

/// What a build tool does: puts an artifact under its digest, and gets it back.
async fn visit(addr: SocketAddr) -> Outcome {
    let artifact = "object code";
    let path = format!("/cache/demo/cas/{}", Digest::of(artifact));
    let put = exchange(addr, "PUT", &path, artifact).await?;
    let got = exchange(addr, "GET", &path, "").await?;
    let own = exchange(addr, "GET", "/", "").await?;
    println!("PUT {path}: {}", first_line(&put));
    println!("GET {path}: {}", first_line(&got));
    println!("GET /: {}", first_line(&own));
    let good = [&put, &got, &own].iter().all(|reply| reply.starts_with("HTTP/1.1 200 "));
    if !good || !got.ends_with(artifact) {
        return Err("the service did not answer as it should".into());
    }
    Ok(())
}

async fn exchange(addr: SocketAddr, method: &str, path: &str, body: &str) -> Outcome<String> {
    let mut stream = TcpStream::connect(addr).await?;
    let len = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

fn first_line(reply: &str) -> &str {
    reply.lines().next().unwrap_or_default()
}
