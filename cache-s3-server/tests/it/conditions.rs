//! Conditions are honoured, and atomically; a server that ignores them can be had.

use bytes::Bytes;
use cache_s3_server::{Dialect, Server, ServerOptions};
use futures::future::join_all;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path,
};

use crate::{BUCKET, client, google, server};

fn only_new() -> PutOptions {
    PutMode::Create.into()
}

async fn creators(store: &dyn ObjectStore) -> usize {
    let path = Path::from("raced");
    let puts = (0..16).map(|n| store.put_opts(&path, PutPayload::from(vec![n; 1000]), only_new()));
    join_all(puts).await.iter().filter(|put| put.is_ok()).count()
}

async fn updaters(store: &dyn ObjectStore) -> usize {
    let path = Path::from("updated");
    let first = store.put(&path, "first".into()).await.unwrap();
    let puts = (0..16).map(|n| {
        let mode = PutMode::Update(first.clone().into());
        store.put_opts(&path, PutPayload::from(vec![n; 1000]), mode.into())
    });
    join_all(puts).await.iter().filter(|put| put.is_ok()).count()
}

fn with(change: impl FnOnce(&mut Dialect)) -> Server {
    Server::start(ServerOptions::new().with_bucket(BUCKET).with_dialect(change)).unwrap()
}

#[tokio::test]
async fn one_of_many_wins() {
    let server = server();
    let s3 = client(&server.endpoint());
    assert_eq!((creators(&s3).await, updaters(&s3).await), (1, 1));
    let server = with(|dialect| dialect.gcs = true);
    let gcs = google(&server.endpoint());
    assert_eq!((creators(&gcs).await, updaters(&gcs).await), (1, 1));
}

#[tokio::test]
async fn all_win_where_conditions_are_ignored() {
    let server = with(|dialect| dialect.ignores_conditions_on_put = true);
    let s3 = client(&server.endpoint());
    assert_eq!((creators(&s3).await, updaters(&s3).await), (16, 16));
}

#[tokio::test]
async fn gets_can_ignore_conditions() {
    let server = with(|dialect| dialect.ignores_conditions_on_get = true);
    server.contents().put(BUCKET, "a", "1");
    let options = GetOptions { if_match: Some("\"other\"".to_owned()), ..Default::default() };
    let s3 = client(&server.endpoint());
    s3.get_opts(&Path::from("a"), options.clone()).await.unwrap();
    let honest = crate::server();
    honest.contents().put(BUCKET, "a", "1");
    let error = client(&honest.endpoint()).get_opts(&Path::from("a"), options).await.unwrap_err();
    assert!(matches!(error, Error::Precondition { .. }), "{error:?}");
}

#[tokio::test]
async fn ranges_from_the_end() {
    let get = async |server: &Server, bytes: u64| {
        server.contents().put(BUCKET, "a", "0123456789");
        let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..Default::default() };
        match client(&server.endpoint()).get_opts(&Path::from("a"), options).await {
            Ok(found) => {
                let (range, size) = (found.range.clone(), found.meta.size);
                Ok((found.bytes().await.unwrap(), range, size))
            }
            Err(error) => Err(format!("{error:?}")),
        }
    };
    let answers = server();
    assert_eq!(get(&answers, 4).await, Ok((Bytes::from("6789"), 6..10, 10)));
    assert_eq!(get(&answers, 40).await, Ok((Bytes::from("0123456789"), 0..10, 10)));
    assert!(get(&with(|dialect| dialect.refuses_suffix_ranges = true), 4).await.unwrap_err().contains("416"));
    assert!(get(&with(|dialect| dialect.ignores_suffix_ranges = true), 4).await.is_err());
}
