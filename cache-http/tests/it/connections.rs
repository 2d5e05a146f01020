use std::time::{Duration, Instant};

use cache_http::HttpOptions;

use crate::{ABC, KEY, client::Client, noise, server::Server};

#[tokio::test]
async fn connection_serves_many_requests_of_all_outcomes() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    for round in 0..100_usize {
        let body = noise(round * 997);
        assert_eq!(client.put(&format!("/ac/{ABC}"), &body).await.status, 200);
        assert_eq!(client.get(&format!("/ac/{ABC}")).await.body, body);
        assert_eq!(client.put(&format!("/cas/{ABC}"), "abd").await.status, 400);
        assert_eq!(client.get("/nowhere").await.status, 404);
    }
}

#[tokio::test]
async fn upload_in_two_packets_is_not_delayed() {
    let server = Server::memory().await;
    let mut took = Vec::new();
    // A sender with Nagle's algorithm on, as ccache's: its second packet waits for the server's
    // acknowledgement of the first.
    let mut client = Client::connect_with_nagle(server.addr).await;
    for _ in 0..20 {
        let began = Instant::now();
        client.begin("PUT", &format!("/ccache/{KEY}"), &[("Content-Length", "500")]).await;
        client.write([7; 500]).await;
        assert_eq!(client.reply("PUT").await.status, 200);
        took.push(began.elapsed());
    }
    took.sort();
    assert!(took[10] < Duration::from_millis(30), "{took:?}");
}

#[tokio::test]
async fn client_that_takes_nothing_of_its_answer_is_cut_and_a_slow_one_is_not() {
    let cache = cache::open("memory:").await.unwrap();
    let (limit, drain) = (Duration::from_secs(3), Duration::from_secs(120));
    let server =
        Server::tuned(cache, HttpOptions::default(), |serve| serve.take_within(limit).drain_within(drain))
            .await;
    let body = noise(40_000_000);
    assert_eq!(server.client().await.put(&format!("/ac/{ABC}"), &body).await.status, 200);

    let mut slow = server.client().await;
    slow.begin("GET", &format!("/ac/{ABC}"), &[]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(slow.reply("GET").await.body == body);

    let mut silent = server.client().await;
    silent.begin("GET", &format!("/ac/{ABC}"), &[]).await;
    assert!(silent.more().await, "the answer has begun");
    // The end waits for the answer that is under way.
    let began = Instant::now();
    server.stop().await.unwrap().unwrap();
    assert!(began.elapsed() < drain, "the connection was not cut before the end");
    let cut = silent.try_reply("GET").await;
    assert!(!cut.is_some_and(|reply| reply.complete), "the answer still came whole");
}

#[tokio::test]
async fn partial_head_is_cut_and_an_idle_connection_is_not() {
    let options = HttpOptions::default();
    let cache = cache::open("memory:").await.unwrap();
    let limit = Duration::from_millis(300);
    let server = Server::tuned(cache, options, |serve| serve.head_within(limit)).await;

    let mut idle_from_the_start = server.client().await;
    let mut idle_after_a_request = server.client().await;
    assert_eq!(idle_after_a_request.get("/healthz").await.status, 200);
    let mut slow = server.client().await;
    let mut slow_after_a_request = server.client().await;
    assert_eq!(slow_after_a_request.put(&format!("/ac/{ABC}"), noise(100_000)).await.status, 200);

    // Bytes that keep trickling in do not put off the end.
    let began = Instant::now();
    for (at, byte) in b"GET /heal".iter().enumerate() {
        for client in [&mut slow, &mut slow_after_a_request] {
            client.write([*byte]).await;
        }
        tokio::time::sleep(Duration::from_millis(if at < 8 { 60 } else { 0 })).await;
    }
    for client in [&mut slow, &mut slow_after_a_request] {
        assert!(client.ends_within(Duration::from_secs(20)).await);
    }
    assert!(began.elapsed() >= limit);

    tokio::time::sleep(limit).await;
    assert_eq!(idle_from_the_start.get("/healthz").await.status, 200);
    assert_eq!(idle_after_a_request.get("/healthz").await.status, 200);
    tokio::time::sleep(limit * 2).await;
    assert_eq!(idle_from_the_start.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn head_in_two_packets_is_served() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    client.write("GET /healthz HT").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.write("TP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(client.reply("GET").await.status, 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    client.begin("PUT", &format!("/ac/{ABC}"), &[("Content-Length", "3")]).await;
    client.write(format!("abcGET /ac/{ABC} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
    assert_eq!(client.reply("PUT").await.status, 200);
    assert_eq!(client.reply("GET").await.text(), "abc");
}

#[tokio::test]
async fn client_that_asks_to_close_is_closed() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    assert_eq!(client.ask("GET", "/healthz", &[("Connection", "close")], b"").await.status, 200);
    assert!(client.ends_within(Duration::from_secs(20)).await);
}

#[tokio::test]
async fn garbage_is_400_and_closed() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    client.write("\x16\x03\x01 not http\r\n\r\n").await;
    assert_eq!(client.reply("GET").await.status, 400);
    assert!(client.ends_within(Duration::from_secs(20)).await);
}
