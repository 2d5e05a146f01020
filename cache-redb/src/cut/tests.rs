use cache_core::{Checksum, Envelope, Error, ErrorKind};

use super::*;
use crate::toy::{in_hand, in_pieces, key, payload, streamed};

/// Chunks by turns of gathering, the bytes they are of, and the trailer.
async fn cut(blob: PutBlob) -> (Vec<Vec<Bytes>>, u64, Vec<u8>) {
    let mut cutter = Cutter::new(&key(), &BlobName::DATA, blob, None);
    let mut turns = Vec::new();
    while !cutter.has_ended() {
        turns.push(cutter.gather().await.unwrap());
    }
    let bytes = cutter.bytes();
    (turns, bytes, cutter.into_sealer().finish().0)
}

#[tokio::test]
async fn chunks_are_full_but_for_the_last_however_the_source_is_cut() {
    for len in [0, 1, 4096, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 4 * CHUNK, 4 * CHUNK + 1, 9 * CHUNK + 5] {
        let whole = payload(len);
        let sealed = Envelope::seal(&key(), &BlobName::DATA, &whole);
        for size in [usize::MAX, 5 * CHUNK + 3, CHUNK, CHUNK - 1, 100_000, 65_536, 8192] {
            for is_in_hand in [false, true] {
                let blob = if is_in_hand { in_hand(whole.clone()) } else { in_pieces(&whole, size) };
                let what = format!("{len} bytes in pieces of {size}, in hand: {is_in_hand}");
                let (turns, bytes, trailer) = cut(blob).await;
                assert_eq!(bytes, len as u64, "{what}");
                let (last, before) = turns.split_last().unwrap();
                assert!(before.iter().all(|turn| turn.len() == GATHERED), "{what}");
                assert!(last.len() <= GATHERED, "{what}");
                let chunks = turns.concat();
                let short = chunks.iter().rev().skip(1).find(|chunk| chunk.len() != CHUNK);
                assert!(short.is_none() && chunks.iter().all(|chunk| !chunk.is_empty()), "{what}");
                assert!(chunks.concat() == whole, "{what}");
                assert!(sealed.ends_with(&trailer), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn bytes_in_hand_are_not_copied() {
    for len in [1, CHUNK + 1, 5 * CHUNK, 6 * CHUNK + 9] {
        let whole = payload(len);
        let (turns, ..) = cut(in_hand(whole.clone())).await;
        let mut at = whole.as_ptr() as usize;
        for chunk in turns.concat() {
            assert_eq!(chunk.as_ptr() as usize, at);
            at += chunk.len();
        }
        assert_eq!(at, whole.as_ptr() as usize + len);
    }
}

#[tokio::test]
async fn full_chunks_of_large_pieces_are_not_copied_and_small_parts_of_them_are() {
    let whole = payload(2 * CHUNK + 9);
    let (turns, ..) = cut(in_pieces(&whole, usize::MAX)).await;
    let chunks = turns.concat();
    let range = whole.as_ptr_range();
    assert_eq!(
        chunks.iter().map(|chunk| range.contains(&chunk.as_ptr())).collect::<Vec<_>>(),
        [true, true, false]
    );
}

#[tokio::test]
async fn empty_pieces_are_no_end() {
    let parts = ["", "a", "", "", "bc", ""].map(|part| Ok(Bytes::from(part)));
    let (turns, bytes, _) = cut(streamed(parts.into())).await;
    assert_eq!((turns.concat().concat(), bytes), (b"abc".to_vec(), 3));
}

#[tokio::test]
async fn the_sealer_has_seen_all_of_it() {
    let whole = payload(CHUNK + 77);
    let mut cutter = Cutter::new(&key(), &BlobName::DATA, in_pieces(&whole, 1000), None);
    while !cutter.has_ended() {
        cutter.gather().await.unwrap();
    }
    assert_eq!(cutter.into_sealer().finish().1, Checksum::of(&whole));
}

#[tokio::test]
async fn a_source_that_fails_or_is_too_long_ends_in_its_error() {
    let error = Error::new(ErrorKind::Timeout, "source", "read");
    let blob = streamed(vec![Ok(payload(CHUNK + 1)), Err(error)]);
    let mut cutter = Cutter::new(&key(), &BlobName::DATA, blob, None);
    assert_eq!(cutter.gather().await.unwrap_err().kind(), ErrorKind::Timeout);
    let blob = in_pieces(&payload(CHUNK + 1), 1 << 16);
    let mut cutter = Cutter::new(&key(), &BlobName::DATA, blob, Some(CHUNK as u64));
    assert_eq!(cutter.gather().await.unwrap_err().kind(), ErrorKind::TooLarge);
}
