//! What stands between a client and a server, and what only looks like a server.

use std::time::{Duration, Instant};

use cache_s3_server::{Answer, Direction, Disturbance, Proxy, Raw};
use object_store::{ObjectStoreExt, path::Path};

use crate::{BUCKET, client, server};

async fn hangs(future: impl Future<Output: std::fmt::Debug>) {
    let ended = tokio::time::timeout(Duration::from_millis(100), future).await;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn a_proxy_disturbs_what_goes_by() {
    let server = server();
    let proxy = Proxy::start(server.address()).unwrap();
    let (s3, path) = (client(&proxy.endpoint()), Path::from("a"));
    let data = vec![b'q'; 20_000];
    s3.put(&path, data.clone().into()).await.unwrap();

    proxy.set(Disturbance::Latency(Duration::from_millis(30)));
    let begin = Instant::now();
    s3.head(&path).await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(60));

    proxy.set(Disturbance::Rate(Direction::Down, 100_000));
    let begin = Instant::now();
    assert_eq!(s3.get(&path).await.unwrap().bytes().await.unwrap(), data);
    assert!(begin.elapsed() >= Duration::from_millis(190));

    // In the body; object_store looks at none.
    proxy.set(Disturbance::Flip(Direction::Down, 10_000));
    let flipped = s3.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(flipped.iter().filter(|byte| **byte != b'q').count(), 1);

    // The signature is over the body, too.
    proxy.set(Disturbance::Flip(Direction::Up, 10_000));
    assert!(s3.put(&Path::from("b"), data.clone().into()).await.is_err());
    for cut in [
        Disturbance::Cut(Direction::Up, 5_000),
        Disturbance::Reset(Direction::Up, 5_000),
        Disturbance::Refuse,
    ] {
        proxy.set(cut);
        assert!(s3.put(&Path::from("b"), data.clone().into()).await.is_err(), "{cut:?}");
    }
    for cut in [Disturbance::Cut(Direction::Down, 5_000), Disturbance::Reset(Direction::Down, 5_000)] {
        proxy.set(cut);
        assert!(s3.get(&path).await.unwrap().bytes().await.is_err(), "{cut:?}");
    }
    proxy.set(Disturbance::Hang(Direction::Up, 5_000));
    hangs(s3.put(&Path::from("b"), data.into())).await;
    proxy.set(Disturbance::Hang(Direction::Down, 5_000));
    hangs(async { s3.get(&path).await.unwrap().bytes().await }).await;
    assert_eq!(server.contents().names(BUCKET), ["a"]);
    proxy.set(Disturbance::None);
    s3.get(&path).await.unwrap();
}

#[tokio::test]
async fn a_proxy_freezes_and_thaws() {
    let server = server();
    let proxy = Proxy::start(server.address()).unwrap();
    let (s3, path) = (client(&proxy.endpoint()), Path::from("a"));
    s3.put(&path, "1".into()).await.unwrap();
    proxy.freeze();
    let mut get = Box::pin(s3.get(&path));
    hangs(&mut get).await;
    proxy.thaw();
    get.await.unwrap();
}

#[tokio::test]
async fn a_proxy_stays_when_its_server_moves() {
    let (one, other) = (server(), server());
    let proxy = Proxy::start(one.address()).unwrap();
    let s3 = client(&proxy.endpoint());
    s3.put(&Path::from("a"), "1".into()).await.unwrap();
    proxy.set_upstream(other.address());
    // One that keeps no connection from before.
    let s3 = client(&proxy.endpoint());
    s3.put(&Path::from("b"), "1".into()).await.unwrap();
    assert_eq!(
        (one.contents().names(BUCKET), other.contents().names(BUCKET)),
        (vec!["a".into()], vec!["b".into()])
    );
}

#[tokio::test]
async fn any_bytes_can_be_the_answer() {
    let raw = Raw::start(Answer::captive_portal()).unwrap();
    let (s3, path) = (client(&raw.endpoint()), Path::from("a"));
    let page = s3.get(&path).await.unwrap().bytes().await.unwrap();
    assert!(page.starts_with(b"<!DOCTYPE html>"));
    // Taken for stored, even.
    s3.put(&path, vec![0; 1 << 20].into()).await.unwrap();
    for answer in [
        Answer::redirect("http://127.0.0.1:1/"),
        Answer::no_length("body"),
        Answer::chunked("body"),
        Answer::http("403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>"),
        Answer::new("not even HTTP"),
    ] {
        raw.set(answer.clone());
        assert!(s3.get(&path).await.is_err(), "{answer:?}");
    }
    raw.set(Answer::silence());
    hangs(s3.get(&path)).await;
    raw.set(Answer::length(1 << 50));
    for _ in 0..2 {
        assert_eq!(s3.get(&path).await.unwrap().meta.size, 1 << 50);
    }
    // Without the one that was met with silence, which may have been given up before it was made.
    assert!(raw.connections() >= 9);
}
