//! Servers end, are killed and come back.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use cache_s3_server::{Fault, Operation, Server, ServerOptions, When};
use object_store::{ObjectStoreExt, PutResult, path::Path};

use crate::{BUCKET, builder, client, server};

#[tokio::test]
async fn a_killed_server_comes_back_with_its_contents() {
    let server = server();
    let (s3, path) = (client(&server.endpoint()), Path::from("a"));
    s3.put(&path, "1".into()).await.unwrap();
    server.crash();
    assert!(!server.is_running());
    assert!(s3.get(&path).await.is_err());
    server.restart().unwrap();
    assert_eq!(s3.get(&path).await.unwrap().bytes().await.unwrap(), "1");
}

/// A put that takes long, and what happens to the server meanwhile.
async fn meanwhile(server: &Server, delay: Duration, end: fn(&Server)) -> object_store::Result<PutResult> {
    let (s3, path) = (client(&server.endpoint()), Path::from("a"));
    server.fail(Fault::Delay(delay), When::always());
    let ended = async {
        while server.log().count(Operation::PutObject) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        end(server);
    };
    tokio::join!(s3.put(&path, "1".into()), ended).0
}

#[tokio::test]
async fn a_crash_carries_out_nothing_more() {
    let server = server();
    // So long that the crash comes before the put is carried out, however busy the machine is.
    let delay = Duration::from_secs(2);
    assert!(meanwhile(&server, delay, Server::crash).await.is_err());
    tokio::time::sleep(delay).await;
    assert_eq!(server.contents().names(BUCKET), [""; 0]);
}

#[tokio::test]
async fn a_stopped_server_finishes_what_it_has_begun() {
    let server = server();
    meanwhile(&server, Duration::from_millis(50), Server::stop).await.unwrap();
    assert_eq!(server.contents().names(BUCKET), ["a"]);
}

#[tokio::test]
async fn servers_stand_side_by_side() {
    let (one, other) = (server(), server());
    client(&one.endpoint()).put(&Path::from("a"), "1".into()).await.unwrap();
    assert_eq!((one.contents().names(BUCKET).len(), other.contents().names(BUCKET).len()), (1, 0));
}

#[tokio::test]
async fn a_server_takes_over_what_another_kept() {
    let one = server();
    client(&one.endpoint()).put(&Path::from("a"), "1".into()).await.unwrap();
    one.crash();
    let other = Server::start(ServerOptions::new().with_contents(one.contents().clone())).unwrap();
    client(&other.endpoint()).get(&Path::from("a")).await.unwrap();
}

#[tokio::test]
async fn a_server_in_front_of_another_counts_and_fails() {
    let behind = server();
    let front = Server::start(ServerOptions::new().with_in_front_of(behind.address())).unwrap();
    let (s3, path) = (client(&front.endpoint()), Path::from("a"));
    s3.put(&path, vec![1; 1 << 20].into()).await.unwrap();
    front.fail(Fault::access_denied(), When::nth(1));
    assert!(s3.get(&path).await.is_err());
    assert_eq!(s3.get(&path).await.unwrap().bytes().await.unwrap().len(), 1 << 20);
    assert_eq!((front.log().len(), behind.log().len()), (3, 2));
    behind.crash();
    assert!(s3.get(&path).await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_serves_until_it_is_told_to_end() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_cache-s3-server"))
        .args(["127.0.0.1:0", BUCKET])
        .env("CACHE_S3_SERVER_KEY", "mykey")
        .env("CACHE_S3_SERVER_SECRET", "mysecret")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening ").unwrap();
    let s3 = builder(&format!("http://{address}"))
        .with_access_key_id("mykey")
        .with_secret_access_key("mysecret")
        .build()
        .unwrap();
    s3.put(&Path::from("a"), "1".into()).await.unwrap();
    let killed = Command::new("kill").arg(program.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(program.wait().unwrap().success());
}
