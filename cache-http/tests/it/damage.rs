use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cache::{Cache, ErrorKind};
use cache_http::HttpOptions;

use crate::{ABC, client::Reply, faulty::Faulty, noise, server::Server};

/// The one file under `directory` that is named as blobs named `data` are, but for what is kept aside or on its way out.
fn blob_file(directory: &Path) -> PathBuf {
    let mut open = vec![directory.to_owned()];
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true if entry.file_name() == ".quarantine" || entry.file_name() == ".tmp" => {}
                true => open.push(entry.path()),
                false if entry.file_name() == "~data" => found.push(entry.path()),
                false => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Flips one bit at `at` of the file's length, in thousandths.
fn damage(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let place = bytes.len() * at / 1000;
    bytes[place] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// The reply, if the connection lives long enough for its head to leave.
async fn try_get(server: &Server, path: &str) -> Option<Reply> {
    let mut client = server.client().await;
    client.begin("GET", path, &[]).await;
    client.try_reply("GET").await
}

#[tokio::test]
async fn small_damaged_entry_is_404_and_can_be_put_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::of(&format!("disk:{}", directory.path().display())).await;
    let mut client = server.client().await;
    let path = format!("/team/ac/{ABC}");
    for at in [0, 300, 500, 700, 999] {
        let content = noise(100_000);
        assert_eq!(client.put(&path, &content).await.status, 200);
        damage(&blob_file(directory.path()), at);
        assert_eq!(client.get(&path).await.status, 404, "at {at}");
        assert_eq!(client.put(&path, &content).await.status, 200);
        assert_eq!(client.get(&path).await.body, content);
    }
}

#[tokio::test]
async fn truncated_entry_never_arrives_as_a_complete_body() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::of(&format!("disk:{}", directory.path().display())).await;
    let path = format!("/team/ac/{ABC}");
    for len in [10, 5 << 20] {
        let content = noise(len);
        assert_eq!(server.client().await.put(&path, &content).await.status, 200);
        let file = blob_file(directory.path());
        let half = std::fs::metadata(&file).unwrap().len() / 2;
        std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(half).unwrap();
        let Some(got) = try_get(&server, &path).await else { continue };
        assert!(got.status == 404 || !got.complete, "{len} bytes: {}", got.status);
    }
}

#[tokio::test]
async fn large_damaged_entry_never_arrives_as_a_complete_body() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::of(&format!("disk:{}", directory.path().display())).await;
    let path = format!("/team/ac/{ABC}");
    let content = noise(5 << 20);
    for at in [0, 1, 500, 990, 999] {
        assert_eq!(server.client().await.put(&path, &content).await.status, 200);
        damage(&blob_file(directory.path()), at);
        let Some(got) = try_get(&server, &path).await else {
            assert!(at < 100, "the bytes before damage at {at} should have left");
            continue;
        };
        assert!(got.status == 404 || !got.complete, "at {at}: {}", got.status);
        if got.status == 200 {
            assert_eq!(got.header("content-length"), Some("5242880"));
            assert!(content.starts_with(&got.body), "at {at}: damaged bytes were sent");
        }
    }
}

#[tokio::test]
async fn stream_that_ends_in_damage_cuts_the_connection() {
    for pieces in [1, 9] {
        let server = Server::start(Cache::new(Faulty::torn(pieces)), HttpOptions::default()).await;
        let mut client = server.client().await;
        client.begin("GET", &format!("/ac/{ABC}"), &[]).await;
        // What had not left yet when the damage was found never leaves, not even the head.
        if let Some(got) = client.try_reply("GET").await {
            assert_eq!((got.status, got.complete), (200, false));
            assert!(got.body.len() <= pieces * Faulty::PIECE);
        }
        assert!(client.ends_within(Duration::from_secs(20)).await);
    }
}

#[tokio::test]
async fn stream_that_begins_with_damage_is_404() {
    let server = Server::start(Cache::new(Faulty::torn(0)), HttpOptions::default()).await;
    let mut client = server.client().await;
    assert_eq!(client.get(&format!("/ac/{ABC}")).await.status, 404);
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn damage_that_a_store_reports_is_404() {
    let server = Server::start(Cache::new(Faulty::failing(ErrorKind::Corrupt)), HttpOptions::default()).await;
    let mut client = server.client().await;
    for method in ["GET", "HEAD"] {
        assert_eq!(client.ask(method, &format!("/ac/{ABC}"), &[], b"").await.status, 404);
    }
}
