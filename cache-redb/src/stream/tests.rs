#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

use std::{sync::atomic::Ordering, time::Duration};

use cache_core::collect_capped;
use futures::TryStreamExt;

use super::*;
use crate::{
    chunks::CHUNK,
    toy::{Toy, in_hand, payload},
};

const LEN: usize = 13 * CHUNK + 4321;
const ALL: u64 = LEN as u64;

async fn stored() -> Arc<Toy> {
    let toy = Toy::new();
    toy.put("data", in_hand(payload(LEN))).await.unwrap();
    toy
}

async fn next(stream: &mut ByteStream) -> Option<Result<Bytes, ErrorKind>> {
    stream.next().await.map(|piece| piece.map_err(|error| error.kind()))
}

#[tokio::test]
async fn pieces_of_any_range_join_to_its_bytes() {
    let (toy, whole) = (stored().await, payload(LEN));
    for range in [0..ALL, 1..ALL - 1, 0..0, ALL..ALL, PIECE - 1..PIECE + 1, PIECE..2 * PIECE, 5..6] {
        let streamed: Vec<Bytes> = toy.stream("data", range.clone()).try_collect().await.unwrap();
        assert!(streamed.iter().all(|piece| !piece.is_empty() && piece.len() as u64 <= PIECE));
        // Each but the first begins where a piece does.
        let ends = streamed.iter().scan(range.start, |at, piece| {
            *at += piece.len() as u64;
            Some(*at)
        });
        assert!(ends.clone().all(|end| end % PIECE == 0 || end == range.end), "{range:?}");
        assert!(streamed.concat() == whole[range.start as usize..range.end as usize], "{range:?}");
    }
}

#[tokio::test]
async fn an_open_stream_goes_on_with_its_version() {
    let toy = stored().await;
    let mut stream = toy.stream("data", 0..ALL);
    let first = next(&mut stream).await.unwrap().unwrap();
    toy.put("data", in_hand(payload(LEN + 1).slice(1..))).await.unwrap();
    toy.sweep();
    assert_eq!(toy.rows().1, 1);
    let rest = collect_capped(stream, u64::MAX).await.unwrap();
    assert!([first, rest].concat() == payload(LEN));
    // Its chunks are removed when it has ended.
    let [id] = toy.discarded.lock().unwrap()[..] else { panic!("an id that is released") };
    assert!(toy.readings.may_remove(id));
    toy.sweep();
    assert_eq!(toy.rows(), (14, 0));
}

#[tokio::test]
async fn a_stream_that_is_dropped_lets_go_of_its_chunks() {
    let toy = stored().await;
    let id = toy.stub("data").id;
    let mut stream = toy.stream("data", 0..ALL);
    next(&mut stream).await.unwrap().unwrap();
    toy.write(|tables| tables.mark_loose(id));
    toy.sweep();
    assert_eq!(toy.rows(), (14, 1));
    drop(stream);
    assert_eq!(*toy.discarded.lock().unwrap(), [id]);
    toy.sweep();
    assert_eq!(toy.rows(), (0, 0));
}

#[tokio::test]
async fn a_read_that_is_dropped_midway_lets_go_of_its_chunks() {
    let toy = stored().await;
    let id = toy.stub("data").id;
    for _ in 0..20 {
        let mut stream = toy.stream("data", 0..ALL);
        _ = tokio::time::timeout(Duration::ZERO, stream.next()).await;
    }
    while !toy.readings.may_remove(id) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn damage_midway_ends_the_stream_and_is_told_once() {
    let toy = stored().await;
    let id = toy.stub("data").id;
    let mut stream = toy.stream("data", 0..ALL);
    let first = next(&mut stream).await.unwrap().unwrap();
    assert!(first == payload(LEN)[..PIECE as usize]);
    toy.tamper(|chunks| drop(chunks.remove((id, 6)).unwrap()));
    assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Corrupt)));
    assert_eq!(next(&mut stream).await, None);
    assert_eq!(next(&mut stream).await, None);
    assert_eq!(*toy.damaged.lock().unwrap(), [id]);
    assert_eq!(toy.faults.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn errors_name_the_store_the_operation_and_the_key() {
    let toy = stored().await;
    let id = toy.stub("data").id;
    toy.tamper(|chunks| drop(chunks.remove((id, 0)).unwrap()));
    let error = toy.stream("data", 0..ALL).try_next().await.unwrap_err();
    assert_eq!((error.store(), error.operation(), error.key()), ("redb", "get", Some(&crate::toy::key())));
}

#[tokio::test]
async fn a_database_that_is_replaced_ends_the_stream() {
    let toy = stored().await;
    let mut stream = toy.stream("data", 0..ALL);
    next(&mut stream).await.unwrap().unwrap();
    toy.replace_database();
    // Nor do chunks of the same id in the new one make a difference.
    assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Unavailable)));
    assert_eq!(next(&mut stream).await, None);
    assert!(toy.damaged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_store_that_is_closed_ends_the_stream() {
    let toy = stored().await;
    let mut stream = toy.stream("data", 0..ALL);
    next(&mut stream).await.unwrap().unwrap();
    toy.close();
    assert_eq!(next(&mut stream).await, Some(Err(ErrorKind::Closed)));
    assert_eq!(next(&mut stream).await, None);
    assert!(toy.damaged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_idle_stream_holds_up_no_sweep_of_others() {
    let toy = stored().await;
    toy.put("other", in_hand(payload(2 * CHUNK))).await.unwrap();
    let mut stream = toy.stream("data", 0..ALL);
    next(&mut stream).await.unwrap().unwrap();
    let other = toy.stub("other").id;
    toy.write(|tables| tables.mark_loose(other));
    toy.sweep();
    assert_eq!(toy.rows(), (14, 0));
    assert!(collect_capped(stream, u64::MAX).await.unwrap() == payload(LEN)[PIECE as usize..]);
}

#[tokio::test]
async fn streams_of_one_blob_run_side_by_side() {
    let toy = stored().await;
    let (mut one, mut two) = (toy.stream("data", 0..ALL), toy.stream("data", 7..ALL));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    loop {
        match (next(&mut one).await, next(&mut two).await) {
            (None, None) => break,
            (a, b) => {
                first.extend_from_slice(&a.unwrap().unwrap());
                second.extend_from_slice(&b.unwrap().unwrap());
            }
        }
    }
    assert!(first == payload(LEN) && second == payload(LEN)[7..]);
}

#[tokio::test]
async fn a_database_that_is_written_anew_under_a_read_ends_no_stream() {
    let toy = stored().await;
    let mut stream = toy.stream("data", 0..ALL);
    let first = next(&mut stream).await.unwrap().unwrap();
    toy.is_rebuilt_next.store(true, Ordering::Relaxed);
    let rest = collect_capped(stream, u64::MAX).await.unwrap();
    assert!([first, rest].concat() == payload(LEN));
    assert!(!toy.is_rebuilt_next.load(Ordering::Relaxed));
    assert_eq!((toy.faults.load(Ordering::Relaxed), toy.damaged.lock().unwrap().len()), (0, 0));
}
