use std::time::Duration;

use cache::Cache;
use cache_http::HttpOptions;

use crate::{ABC, KEY, noise, server::Server};

/// A server whose entry at [`path`] is `old`.
async fn with_old_value(options: HttpOptions) -> Server {
    let server = Server::start(cache::open("memory:").await.unwrap(), options).await;
    assert_eq!(server.client().await.put(&path(), "old").await.status, 200);
    server
}

fn path() -> String {
    format!("/ccache/{KEY}")
}

async fn old_value_is_intact(server: &Server) {
    assert_eq!(server.client().await.get(&path()).await.text(), "old");
}

#[tokio::test]
async fn length_over_the_limit_is_413_before_the_body_is_sent() {
    let server = with_old_value(HttpOptions::default()).await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Content-Length", "1099511627776")]).await;
    let reply = client.reply("PUT").await;
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("the limit is 4294967296"), "{}", reply.text());
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn length_over_the_stores_own_limit_is_413_before_the_body_is_sent() {
    let server = Server::of("memory:?max_blob=1KB").await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Content-Length", "1001")]).await;
    assert_eq!(client.reply("PUT").await.status, 413);
    assert_eq!(server.client().await.put(&path(), [0; 1000]).await.status, 200);
}

#[tokio::test]
async fn client_that_sends_a_refused_body_anyway_reads_the_413() {
    let server = with_old_value(HttpOptions::default().with_max_body_bytes(1000)).await;
    let body = noise(16 << 20);
    let len = body.len().to_string();
    for _ in 0..3 {
        let mut client = server.client().await;
        client.begin("PUT", &path(), &[("Content-Length", &len)]).await;
        // Clients give up without reading an answer if they cannot write.
        assert!(client.write(&body).await);
        assert_eq!(client.reply("PUT").await.status, 413);
    }
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn chunked_upload_is_stored() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Transfer-Encoding", "chunked")]).await;
    client.write("3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").await;
    assert_eq!(client.reply("PUT").await.status, 200);
    assert_eq!(client.get(&path()).await.text(), "abcdefg");
}

#[tokio::test]
async fn chunked_upload_over_the_limit_is_413_and_the_old_value_stays() {
    let server = with_old_value(HttpOptions::default().with_max_body_bytes(100)).await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Transfer-Encoding", "chunked")]).await;
    client.write(format!("64\r\n{}\r\n", "a".repeat(100))).await;
    client.write("1\r\na\r\n").await;
    assert_eq!(client.reply("PUT").await.status, 413);
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn chunked_upload_with_a_broken_chunk_is_400_and_the_old_value_stays() {
    let server = with_old_value(HttpOptions::default()).await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Transfer-Encoding", "chunked")]).await;
    client.write("3\r\nabc\r\nzz\r\n").await;
    assert_eq!(client.reply("PUT").await.status, 400);
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn client_that_hangs_up_midway_leaves_the_old_value() {
    let server = with_old_value(HttpOptions::default()).await;
    for (announced, sent) in [("1000", 10), ("8000000", 3_000_000)] {
        let mut client = server.client().await;
        client.begin("PUT", &path(), &[("Content-Length", announced)]).await;
        client.write(noise(sent)).await;
        drop(client);
    }
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Transfer-Encoding", "chunked")]).await;
    client.write("3\r\nabc\r\n").await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(100)).await;
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn upload_that_stalls_is_408_and_the_old_value_stays() {
    let options = HttpOptions::default().with_body_idle(Duration::from_millis(200));
    let server = with_old_value(options).await;
    for announced in ["1000", "8000000"] {
        let mut client = server.client().await;
        client.begin("PUT", &path(), &[("Content-Length", announced)]).await;
        client.write("begun").await;
        assert_eq!(client.reply("PUT").await.status, 408);
    }
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn upload_that_drips_is_408_and_the_old_value_stays() {
    let options = HttpOptions::default().with_body_idle(Duration::from_millis(300));
    let server = with_old_value(options).await;
    for announced in ["1000", "8000000"] {
        let mut client = server.client().await;
        client.begin("PUT", &path(), &[("Content-Length", announced)]).await;
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.write("x").await;
        }
        assert_eq!(client.reply("PUT").await.status, 408);
    }
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn upload_that_is_not_the_whole_value_is_refused_and_the_old_value_stays() {
    let server = with_old_value(HttpOptions::default()).await;
    let refused: [(u16, &[(&str, &str)]); 4] = [
        (400, &[("Content-Length", "3"), ("Content-Range", "bytes 0-2/9")]),
        (415, &[("Content-Length", "3"), ("Content-Encoding", "gzip")]),
        (501, &[("Transfer-Encoding", "gzip, chunked")]),
        (411, &[]),
    ];
    for (status, headers) in refused {
        let mut client = server.client().await;
        client.begin("PUT", &path(), headers).await;
        client.write("abc").await;
        assert_eq!(client.reply("PUT").await.status, status, "{headers:?}");
    }
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn slow_upload_that_keeps_coming_is_stored() {
    let options = HttpOptions::default().with_body_idle(Duration::from_secs(3)).with_min_body_rate(1);
    let server = with_old_value(options).await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Content-Length", "6")]).await;
    // Longer in all than the server waits for any of it.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        client.write("x").await;
    }
    assert_eq!(client.reply("PUT").await.status, 200);
    assert_eq!(client.get(&path()).await.text(), "xxxxxx");
}

#[tokio::test]
async fn length_that_is_no_number_or_stands_twice_is_400() {
    let server = with_old_value(HttpOptions::default()).await;
    let malformed: [&[(&str, &str)]; 3] = [
        &[("Content-Length", "three")],
        &[("Content-Length", "-3")],
        &[("Content-Length", "3"), ("Content-Length", "4")],
    ];
    for headers in malformed {
        let mut client = server.client().await;
        client.begin("PUT", &path(), headers).await;
        client.write("abc").await;
        assert_eq!(client.reply("PUT").await.status, 400, "{headers:?}");
    }
    old_value_is_intact(&server).await;
}

#[tokio::test]
async fn client_that_waits_for_100_continue_gets_it() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    client.begin("PUT", &path(), &[("Content-Length", "3"), ("Expect", "100-continue")]).await;
    assert!(client.interim().await.starts_with("HTTP/1.1 100 "));
    client.write("abc").await;
    assert_eq!(client.reply("PUT").await.status, 200);
}

#[tokio::test]
async fn concurrent_uploads_of_one_key_leave_one_whole_value() {
    let directory = tempfile::tempdir().unwrap();
    let disk = format!("disk:{}", directory.path().display());
    let cache: Cache = cache::open_tiers(["memory:", &disk]).await.unwrap();
    let server = Server::start(cache, HttpOptions::default()).await;
    let path = format!("/ac/{ABC}");
    let uploads = (0..8_u8).map(|fill| {
        let (server, path) = (&server, &path);
        async move { server.client().await.put(path, vec![fill; 200_000]).await.status }
    });
    let statuses = futures::future::join_all(uploads).await;
    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
    let body = server.client().await.get(&path).await.body;
    assert_eq!(body.len(), 200_000);
    assert!(body.iter().all(|byte| *byte == body[0]));
}
