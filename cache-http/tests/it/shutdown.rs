use std::time::{Duration, Instant};

use cache::{Cache, ErrorKind};
use cache_http::HttpOptions;
use tokio::net::TcpStream;

use crate::{ABC, client::Client, faulty::Faulty, server::Server};

/// A client that has sent half of a body, `abc`, which the server is known to be reading.
async fn uploading(server: &Server) -> Client {
    let mut client = server.client().await;
    let headers = [("Content-Length", "6"), ("Expect", "100-continue")];
    client.begin("PUT", &format!("/ac/{ABC}"), &headers).await;
    assert!(client.interim().await.starts_with("HTTP/1.1 100 "));
    client.write("abc").await;
    client
}

#[tokio::test]
async fn shutdown_finishes_the_upload_under_way_and_flushes() {
    let directory = tempfile::tempdir().unwrap();
    let cache = cache::open(&format!("disk:{}", directory.path().display())).await.unwrap();
    let flushed = cache.clone();
    let (drain, soon) = (Duration::from_secs(60), Duration::from_secs(20));
    let tune = |serve: cache_http::Serve| serve.flush(flushed).drain_within(drain);
    let server = Server::tuned(cache, HttpOptions::default(), tune).await;
    let (addr, cache) = (server.addr, server.cache.clone());
    let mut idle = server.client().await;
    assert_eq!(idle.get("/healthz").await.status, 200);
    let mut client = uploading(&server).await;
    assert_eq!(cache.metrics().flushes, 0);

    let ended = server.stop();
    assert!(idle.ends_within(soon).await);
    assert!(TcpStream::connect(addr).await.is_err());
    assert!(!ended.is_finished());
    client.write("def").await;
    assert_eq!(client.reply("PUT").await.status, 200);
    ended.await.unwrap().unwrap();
    assert_eq!(cache.metrics().flushes, 1);
    let stored = cache.namespace("default").unwrap().namespace("ac").unwrap();
    assert_eq!(stored.get(ABC.parse::<cache::Digest>().unwrap()).await.unwrap().unwrap(), "abcdef");
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_finish_in_time() {
    let cache = cache::open("memory:").await.unwrap();
    let limit = Duration::from_millis(200);
    let server = Server::tuned(cache, HttpOptions::default(), |serve| serve.drain_within(limit)).await;
    let cache = server.cache.clone();
    let mut client = uploading(&server).await;
    let began = Instant::now();
    server.stop().await.unwrap().unwrap();
    assert!(began.elapsed() >= limit);
    assert!(client.try_reply("PUT").await.is_none());
    assert_eq!(cache.usage().await.unwrap().entries, 0);
}

#[tokio::test]
async fn shutdown_of_an_idle_server_is_prompt() {
    let (cache, drain) = (cache::open("memory:").await.unwrap(), Duration::from_secs(60));
    let server = Server::tuned(cache, HttpOptions::default(), |serve| serve.drain_within(drain)).await;
    let mut clients = [server.client().await, server.client().await];
    assert_eq!(clients[0].get("/healthz").await.status, 200);
    let began = Instant::now();
    server.stop().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
    drop(clients);
}

#[tokio::test]
async fn flush_that_fails_is_the_servers_error() {
    let cache = Cache::new(Faulty::failing(ErrorKind::NoSpace));
    let flushed = cache.clone();
    let server = Server::tuned(cache, HttpOptions::default(), |serve| serve.flush(flushed)).await;
    let error = server.stop().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
}
