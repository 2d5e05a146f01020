use std::sync::{Arc, Mutex};

use super::*;
use crate::{Digest, Error, ErrorKind, Key};

type Asked = Arc<Mutex<Vec<Option<usize>>>>;

/// A listing of so many entries by pages of three, of which the one after `fails_after` fails.
fn listing(
    entries: u8,
    options: ListOptions,
    fails_after: usize,
) -> (BoxStream<'static, Result<EntryMeta>>, Asked) {
    let asked_for = Asked::default();
    let told = Arc::clone(&asked_for);
    let pages = list_by_pages(options, 3, move |asked| {
        let mut told = told.lock().unwrap();
        told.push(asked.limit);
        let keys = (0..entries).map(|byte| Key::from(Digest::from_bytes([byte; 32])));
        let found = keys.filter(|key| asked.admits(key)).take(asked.limit.unwrap());
        let page = found.map(|key| EntryMeta::new(key, 1)).collect();
        let fails = told.len() > fails_after;
        async move { if fails { Err(Error::new(ErrorKind::Unavailable, "", "")) } else { Ok(page) } }
    });
    (pages, asked_for)
}

#[tokio::test]
async fn pages_join_to_the_whole_within_the_limit() {
    for (limit, expected, pages) in [
        (None, 7, vec![Some(3), Some(3), Some(3), Some(3)]),
        (Some(0), 0, vec![Some(0)]),
        (Some(3), 3, vec![Some(3), Some(0)]),
        (Some(5), 5, vec![Some(3), Some(2), Some(0)]),
    ] {
        let options = ListOptions { limit, ..ListOptions::default() };
        let (listing, asked) = listing(7, options, 9);
        let found: Vec<EntryMeta> = listing.try_collect().await.unwrap();
        let expected: Vec<_> = (0..expected).map(|byte| Key::from(Digest::from_bytes([byte; 32]))).collect();
        assert_eq!(found.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), expected, "{limit:?}");
        assert_eq!(*asked.lock().unwrap(), pages, "{limit:?}");
    }
}

#[tokio::test]
async fn page_is_fetched_when_it_is_read_and_the_first_error_ends_the_listing() {
    let (mut listing, asked) = listing(7, ListOptions::default(), 1);
    assert!(asked.lock().unwrap().is_empty());
    for _ in 0..3 {
        assert!(listing.next().await.unwrap().is_ok());
    }
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(listing.next().await.unwrap().is_err());
    assert!(listing.next().await.is_none());
    assert!(listing.next().await.is_none());
    assert_eq!(asked.lock().unwrap().len(), 2);
}
