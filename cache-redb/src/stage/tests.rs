#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

use std::sync::atomic::Ordering;

use cache_core::Envelope;
use futures::{FutureExt, StreamExt};

use super::*;
use crate::{
    cut::GATHERED,
    toy::{PartShape, Toy, in_hand, in_pieces, key, payload, streamed},
};

const KIB_64: usize = 64 << 10;

async fn prepared(toy: &Arc<Toy>, blob: PutBlob) -> PreparedBlob {
    toy.prepare(vec![("data", blob)], PutLimits::default()).await.unwrap().unwrap().pop().unwrap()
}

fn staged(toy: &Toy) -> Vec<PartShape> {
    toy.staged.lock().unwrap().clone()
}

fn is_inline(blob: &PreparedBlob) -> bool {
    matches!(blob.body, Body::Inline { .. })
}

#[tokio::test]
async fn blobs_that_end_within_the_limit_are_inline() {
    for len in [0, 1, KIB_64, INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1, CHUNK, CHUNK + 1] {
        let bytes = payload(len);
        for blob in [in_hand(bytes.clone()), in_pieces(&bytes, usize::MAX), in_pieces(&bytes, 10_000)] {
            let toy = Toy::new();
            let blob = prepared(&toy, blob).await;
            assert_eq!(is_inline(&blob), len <= INLINE_MAX, "{len} bytes");
            assert_eq!(blob.bytes, len as u64);
            assert!(staged(&toy).is_empty());
            if let Body::Inline { header, payload, trailer } = &blob.body {
                let sealed = [&header[..], payload, trailer].concat();
                assert!(sealed == Envelope::seal(&key(), &blob.name, &bytes), "{len} bytes");
            }
        }
    }
}

#[tokio::test]
async fn large_blobs_of_any_length_are_read_back() {
    for len in
        [INLINE_MAX + 1, CHUNK, CHUNK + 1, 4 * CHUNK, 4 * CHUNK + 1, 8 * CHUNK - 1, 8 * CHUNK, 9 * CHUNK + 9]
    {
        let bytes = payload(len);
        for blob in [in_hand(bytes.clone()), in_pieces(&bytes, 5 * CHUNK), in_pieces(&bytes, KIB_64)] {
            let toy = Toy::new();
            toy.put("data", blob).await.unwrap();
            assert_eq!(toy.rows(), (len.div_ceil(CHUNK) as u64, 0), "{len} bytes");
            assert!(toy.read("data", 0..len as u64).unwrap() == bytes, "{len} bytes");
            assert!(toy.discarded.lock().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn the_last_part_is_written_with_the_entry() {
    for (chunks, parts, tail) in [(2, 0, 2), (4, 1, 0), (5, 1, 1), (11, 2, 3), (12, 3, 0)] {
        let toy = Toy::new();
        let blob = prepared(&toy, in_pieces(&payload(chunks * CHUNK), KIB_64)).await;
        let Body::Chunked(chunked) = &blob.body else { panic!("a large blob is inline") };
        let id = chunked.stub.id;
        let expected: Vec<_> = (0..parts).map(|part| (id, (part * GATHERED) as u32, GATHERED)).collect();
        assert_eq!(staged(&toy), expected, "{chunks} chunks");
        assert_eq!((chunked.tail.first_index as usize, chunked.tail.chunks.len()), (parts * GATHERED, tail));
        assert_eq!(chunked.upload.id(), id);
    }
}

#[tokio::test]
async fn the_source_is_read_while_a_part_is_written() {
    let toy = Toy::new();
    toy.hangs.store(true, Ordering::Relaxed);
    let (bytes, read) = (payload(40 * CHUNK), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let counted = Arc::clone(&read);
    let pieces: Vec<_> = bytes.chunks(CHUNK).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    let stream =
        futures::stream::iter(pieces).inspect(move |_| _ = counted.fetch_add(1, Ordering::Relaxed)).boxed();
    let mut put =
        toy.prepare(vec![("data", PutBlob::Stream { len: None, stream })], PutLimits::default()).boxed();
    for _ in 0..100 {
        assert!((&mut put).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    // One part is on its way and the next one is gathered; no more.
    assert_eq!(read.load(Ordering::Relaxed), 2 * GATHERED);
    assert_eq!(staged(&toy).len(), 1);
}

#[tokio::test]
async fn an_upload_that_fails_is_discarded() {
    let source_fails = || {
        let error = Error::new(ErrorKind::Timeout, "source", "read");
        streamed(vec![Ok(payload(9 * CHUNK)), Err(error)])
    };
    let toy = Toy::new();
    let failed = toy.put("data", source_fails()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Timeout);
    assert_eq!(*toy.discarded.lock().unwrap(), [staged(&toy)[0].0]);

    let toy = Toy::new();
    toy.fails_at.store(2, Ordering::Relaxed);
    let failed = toy.put("data", in_hand(payload(20 * CHUNK))).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NoSpace);
    assert_eq!(staged(&toy).len(), 2);
    assert_eq!(*toy.discarded.lock().unwrap(), [staged(&toy)[0].0]);
    toy.sweep();
    assert_eq!(toy.rows(), (0, 0));
}

#[tokio::test]
async fn a_put_that_is_dropped_at_any_point_leaves_nothing() {
    let bytes = payload(10 * CHUNK);
    let mut was_whole = false;
    for polls in 0..100 {
        let toy = Toy::new();
        let mut put = toy.prepare(vec![("data", in_pieces(&bytes, 3 * CHUNK))], PutLimits::default()).boxed();
        for _ in 0..polls {
            if (&mut put).now_or_never().is_some() {
                was_whole = true;
                break;
            }
        }
        drop(put);
        assert_eq!(
            toy.discarded.lock().unwrap().is_empty(),
            staged(&toy).is_empty() && polls == 0,
            "{polls} polls"
        );
        toy.sweep();
        assert_eq!(toy.rows(), (0, 0), "{polls} polls");
        if was_whole {
            return;
        }
    }
    panic!("a put takes more than 100 polls");
}

#[tokio::test]
async fn an_upload_that_is_never_published_is_discarded() {
    let toy = Toy::new();
    let blob = prepared(&toy, in_hand(payload(6 * CHUNK))).await;
    assert_eq!(toy.rows(), (4, 1));
    drop(blob);
    toy.sweep();
    assert_eq!((toy.rows(), toy.discarded.lock().unwrap().len()), ((0, 0), 1));
}

#[tokio::test]
async fn an_upload_into_a_database_that_is_replaced_meanwhile_is_lost() {
    let toy = Toy::new();
    let blobs = toy
        .prepare(vec![("data", in_hand(payload(6 * CHUNK)))], PutLimits::default())
        .await
        .unwrap()
        .unwrap();
    toy.replace_database();
    assert_eq!(toy.publish(&blobs).unwrap_err().kind(), ErrorKind::Unavailable);
    drop(blobs);
    assert_eq!(toy.rows(), (0, 0));
}

#[tokio::test]
async fn entries_over_the_budget_are_told_as_soon_as_they_are() {
    let limits = PutLimits { max_bytes: Some(5 * CHUNK as u64), max_blob_bytes: None };
    let toy = Toy::new();
    let within = vec![("a", in_hand(payload(CHUNK))), ("b", in_pieces(&payload(4 * CHUNK), KIB_64))];
    assert!(toy.prepare(within, limits).await.unwrap().is_some());
    for last in [in_hand(payload(1)), in_pieces(&payload(1), 1), in_pieces(&payload(20 * CHUNK), CHUNK)] {
        let toy = Toy::new();
        let over =
            vec![("a", in_hand(payload(CHUNK))), ("b", in_pieces(&payload(4 * CHUNK), KIB_64)), ("c", last)];
        assert!(toy.prepare(over, limits).await.unwrap().is_none());
        assert_eq!(staged(&toy).len(), 1);
        toy.sweep();
        assert_eq!((toy.rows(), toy.discarded.lock().unwrap().len()), ((0, 0), 1));
    }
}

#[tokio::test]
async fn blobs_over_their_limit_and_of_wrong_lengths_fail() {
    let limits = PutLimits { max_blob_bytes: Some(5 * CHUNK as u64), max_bytes: None };
    let toy = Toy::new();
    let over = toy.prepare(vec![("data", in_pieces(&payload(5 * CHUNK + 1), KIB_64))], limits).await;
    assert_eq!(over.unwrap_err().kind(), ErrorKind::TooLarge);
    let stream = futures::stream::iter([Ok(payload(5 * CHUNK))]).boxed();
    let short = PutBlob::Stream { len: Some(6 * CHUNK as u64), stream };
    let short = toy.prepare(vec![("data", short)], PutLimits::default()).await;
    assert_eq!(short.unwrap_err().kind(), ErrorKind::Invalid);
    toy.sweep();
    assert_eq!((toy.rows(), toy.discarded.lock().unwrap().len()), ((0, 0), 2));
}

#[tokio::test]
async fn what_an_entry_keeps_in_memory_is_bounded() {
    const BLOBS: usize = 100;
    let names: Vec<_> = (0..BLOBS).map(|n| format!("blob {n}")).collect();
    let (bytes, large) = (payload(INLINE_MAX), payload(5 * CHUNK));
    let blobs =
        |blob: &dyn Fn() -> PutBlob| names.iter().map(|name| (name.as_str(), blob())).collect::<Vec<_>>();
    for (blobs, most) in [
        (blobs(&|| in_pieces(&bytes, KIB_64)), STREAMED_MAX),
        (blobs(&|| in_hand(bytes.clone())), IN_HAND_MAX),
        (blobs(&|| in_pieces(&large, KIB_64)), STREAMED_MAX),
    ] {
        let toy = Toy::new();
        let prepared = toy.prepare(blobs, PutLimits::default()).await.unwrap().unwrap();
        let kept = prepared.iter().map(|blob| match &blob.body {
            Body::Inline { payload, .. } => payload.len() as u64,
            Body::Chunked(chunked) => chunked.tail.bytes(),
        });
        let kept: u64 = kept.sum();
        assert!(kept <= most && kept > most - CHUNK as u64, "{kept} bytes are kept");
        toy.publish(&prepared).unwrap();
        for blob in prepared.iter().filter(|blob| !is_inline(blob)).step_by(17) {
            let read = toy.read(blob.name.as_str(), 0..blob.bytes).unwrap();
            assert!(read == payload(read.len()) && read.len() as u64 == blob.bytes);
        }
        drop(prepared);
        assert!(toy.discarded.lock().unwrap().is_empty());
    }
}
