use std::error::Error as _;

use ErrorKind::{Corrupt, Invalid, Unavailable};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::*;
use crate::{ByteRange, ByteStream, PutMode, StoreExt, wrap::probe::Probe};

const CONTENT: &str = "0123456789";

fn namespace(path: &str) -> Namespace {
    path.parse().unwrap()
}

fn key_in(path: &str) -> Key {
    Key::new(namespace(path), Digest::of(CONTENT))
}

fn key() -> Key {
    key_in("cas")
}

fn log() -> BlobName {
    BlobName::new("log").unwrap()
}

fn around(probe: Probe) -> (Verified<Probe>, Probe) {
    (Verified::new(probe.clone(), [namespace("cas"), namespace("team/blobs")]), probe)
}

/// The key's entry has this as its `data`.
fn holding(data: &'static str) -> (Verified<Probe>, Probe) {
    let (store, probe) = around(Probe::default());
    probe.plant(&key(), BlobName::DATA, data);
    probe.plant(&key(), log(), "text");
    (store, probe)
}

fn in_pieces(pieces: &[&'static str]) -> ByteStream {
    stream::iter(pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect::<Vec<_>>()).boxed()
}

fn streamed() -> GetOptions {
    GetOptions::default().with_stream_above(0)
}

#[tokio::test]
async fn put_of_other_content_is_invalid_and_changes_nothing() {
    for mode in [PutMode::Replace, PutMode::Merge, PutMode::Fill] {
        let (store, probe) = holding(CONTENT);
        let entry = || PutEntry::default().with(BlobName::new("new").unwrap(), "new");
        let wrong = [
            entry().with(BlobName::DATA, "other"),
            entry().with(BlobName::DATA, ""),
            entry().with_stream(BlobName::DATA, None, in_pieces(&["0123456789", "x"])),
            entry().with_stream(BlobName::DATA, Some(10), in_pieces(&["01234", "5678x"])),
            entry().with_stream(BlobName::DATA, Some(5), in_pieces(&["01234"])),
            entry().with_stream(BlobName::DATA, None, in_pieces(&[])),
        ];
        for entry in wrong {
            let what = format!("{mode:?} of {entry:?}");
            let error = store.put(&key(), entry, PutOptions::mode(mode)).await.unwrap_err();
            assert_eq!((error.kind(), error.key()), (Invalid, Some(&key())), "{what}");
            assert_eq!((error.store(), error.operation()), ("probe", "put"), "{what}");
            assert_eq!(probe.holds(&key(), &BlobName::DATA).unwrap(), CONTENT, "{what}");
            assert_eq!(probe.holds(&key(), &BlobName::new("new").unwrap()), None, "{what}");
        }
    }
}

#[tokio::test]
async fn put_of_other_content_in_hand_asks_nobody() {
    let (store, probe) = holding(CONTENT);
    store.put_bytes(&key(), "other".into()).await.unwrap_err();
    assert_eq!(probe.calls(), [""; 0]);
}

#[tokio::test]
async fn put_of_the_named_content_is_stored() {
    let entries = [
        PutEntry::data(CONTENT),
        PutEntry::default().with_stream(BlobName::DATA, None, in_pieces(&["0123", "", "456789", ""])),
        PutEntry::default().with_stream(BlobName::DATA, Some(10), in_pieces(&[CONTENT])),
    ];
    for entry in entries {
        let (store, probe) = around(Probe::default());
        let entry = entry.with(log(), "any text");
        assert!(store.put(&key(), entry, PutOptions::default()).await.unwrap().is_stored());
        assert_eq!(probe.holds(&key(), &BlobName::DATA).unwrap(), CONTENT);
        assert_eq!(probe.holds(&key(), &log()).unwrap(), "any text");
    }
    let (store, probe) = around(Probe::default());
    let empty = Key::new(namespace("cas"), Digest::of(""));
    store.put_bytes(&empty, Bytes::new()).await.unwrap();
    let entry = PutEntry::default().with_stream(BlobName::DATA, Some(0), in_pieces(&[]));
    store.put(&empty, entry, PutOptions::default()).await.unwrap();
    assert_eq!(probe.holds(&empty, &BlobName::DATA).unwrap(), "");
}

#[tokio::test]
async fn a_put_stream_that_fails_keeps_its_own_error() {
    let (store, probe) = holding(CONTENT);
    let broken = in_pieces(&["0123"]).chain(stream::iter([Err(Error::new(Unavailable, "", ""))])).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, broken);
    let error = store.put(&key(), entry, PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert_eq!(probe.holds(&key(), &BlobName::DATA).unwrap(), CONTENT);
}

#[tokio::test]
async fn get_of_other_content_is_corrupt_and_evicts_the_entry() {
    for planted in ["other", "", "0123456788", "01234567890"] {
        let (store, probe) = holding(planted);
        let error = store.get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.key()), (Corrupt, Some(&key())));
        assert_eq!((error.store(), error.operation()), ("probe", "get"));
        assert_eq!(probe.calls(), ["get", "evict"]);
        assert!(store.get(&key(), &log(), GetOptions::default()).await.unwrap().is_none());

        let (store, probe) = holding(planted);
        let error = store.get_entry(&key(), GetOptions::default()).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (Corrupt, "get_entry"));
        assert_eq!(probe.calls(), ["get_entry", "evict"]);
    }
}

#[tokio::test]
async fn get_of_the_named_content_is_handed_out() {
    let (store, probe) = holding(CONTENT);
    let inline = store.get_now(key().view(), &BlobName::DATA).unwrap();
    let whole = store.get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(whole.bytes().unwrap().as_ptr(), inline.as_ptr());
    for options in [GetOptions::default(), streamed()] {
        let blob = store.get(&key(), &BlobName::DATA, options.clone()).await.unwrap().unwrap();
        assert_eq!((blob.len(), blob.total_len()), (10, 10));
        assert_eq!(blob.collect(100).await.unwrap(), CONTENT);
        let mut entry = store.get_entry(&key(), options).await.unwrap().unwrap();
        assert_eq!(entry.take(&log()).unwrap().collect(100).await.unwrap(), "text");
        assert_eq!(entry.take(&BlobName::DATA).unwrap().collect(100).await.unwrap(), CONTENT);
    }
    assert!(!probe.calls().contains(&"evict"));
}

#[tokio::test]
async fn a_stream_of_other_content_ends_in_damage_before_it_is_complete() {
    let (store, probe) = holding("012345678x");
    let blobs = [
        store.get(&key(), &BlobName::DATA, streamed()).await.unwrap().unwrap(),
        store.get_entry(&key(), streamed()).await.unwrap().unwrap().take(&BlobName::DATA).unwrap(),
    ];
    for blob in blobs {
        let mut stream = blob.into_stream();
        assert_eq!(probe.holds(&key(), &BlobName::DATA).map(|_| ()), Some(()));
        assert_eq!(stream.next().await.unwrap().unwrap(), "0123");
        assert_eq!(stream.next().await.unwrap().unwrap(), "4567");
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.key()), (Corrupt, Some(&key())));
        assert!(stream.next().await.is_none());
        assert_eq!(probe.holds(&key(), &BlobName::DATA), None);
        probe.plant(&key(), BlobName::DATA, "012345678x");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_early_evicts_nothing() {
    let (store, probe) = holding("012345678x");
    let blob = store.get(&key(), &BlobName::DATA, streamed()).await.unwrap().unwrap();
    let mut stream = blob.into_stream();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(probe.calls(), ["get"]);
}

#[tokio::test]
async fn a_trailing_empty_piece_does_not_release_the_last_bytes() {
    let refuse = |_| async { Error::corrupt("refused") };
    let pieces = guard(in_pieces(&["abc", ""]), Digest::of("abd"), refuse).collect::<Vec<_>>().await;
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].as_ref().unwrap_err().kind(), Corrupt);
}

#[tokio::test]
async fn damage_that_cannot_be_evicted_is_told_all_the_same() {
    let (store, probe) = holding("other");
    let blob = store.get(&key(), &BlobName::DATA, streamed()).await.unwrap().unwrap();
    probe.fail_next([Unavailable]);
    let error = blob.collect(100).await.unwrap_err();
    assert_eq!(error.kind(), Corrupt);
    assert!(error.source().unwrap().to_string().contains("unavailable"), "{error:?}");
}

#[tokio::test]
async fn errors_and_misses_of_the_store_pass() {
    let (store, probe) = holding(CONTENT);
    probe.fail_next([Unavailable, Unavailable]);
    let error = store.get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert_eq!(store.get_entry(&key(), GetOptions::default()).await.unwrap_err().kind(), Unavailable);
    let absent = Key::new(namespace("cas"), Digest::of("absent"));
    assert!(store.get(&absent, &BlobName::DATA, GetOptions::default()).await.unwrap().is_none());
    assert!(store.get_entry(&absent, GetOptions::default()).await.unwrap().is_none());
    assert_eq!(store.get_now(absent.view(), &BlobName::DATA), None);
}

#[tokio::test]
async fn get_now_answers_verified_content_of_up_to_64_kib() {
    let (store, probe) = around(Probe::default());
    for (len, answered) in [(1, true), (INLINE_BYTES, true), (INLINE_BYTES + 1, false)] {
        let content: &'static str = "x".repeat(len).leak();
        let key = Key::new(namespace("cas"), Digest::of(content));
        probe.plant(&key, BlobName::DATA, content);
        assert_eq!(store.get_now(key.view(), &BlobName::DATA).is_some(), answered, "{len} bytes");
        let read = store.get(&key, &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
        assert_eq!(read.bytes().unwrap(), content);
        let elsewhere = Key::new(namespace("other"), key.digest);
        probe.plant(&elsewhere, BlobName::DATA, content);
        assert!(store.get_now(elsewhere.view(), &BlobName::DATA).is_some(), "{len} bytes");
    }
    let (store, probe) = holding("other");
    assert_eq!(store.get_now(key().view(), &BlobName::DATA), None);
    assert_eq!(store.get_now(key().view(), &log()).unwrap(), "text");
    assert_eq!(probe.calls(), ["get_now", "get_now"]);
}

#[tokio::test]
async fn a_part_is_passed_on_and_a_range_over_everything_verified() {
    let (store, probe) = holding("012345678x");
    let range = |start, end| GetOptions::default().with_range(ByteRange::new(start, end).unwrap());
    for options in [range(0, Some(4)), range(9, None), range(0, Some(9)).with_stream_above(0)] {
        let part = store.get(&key(), &BlobName::DATA, options).await.unwrap().unwrap();
        part.collect(100).await.unwrap();
    }
    assert_eq!(probe.calls(), ["get"; 3]);
    let error = store.get(&key(), &BlobName::DATA, range(0, None)).await.unwrap_err();
    assert_eq!(error.kind(), Corrupt);
}

#[tokio::test]
async fn only_the_given_namespaces_and_those_below_are_verified() {
    let refused = ["cas", "cas/below", "team/blobs", "team/blobs/a/b"];
    for path in refused.into_iter().chain(["", "other", "team", "casual", "below/cas"]) {
        let (store, probe) = around(Probe::default());
        let put = store.put_bytes(&key_in(path), "other".into()).await;
        assert_eq!(put.is_err(), refused.contains(&path), "{path}");
        probe.plant(&key_in(path), BlobName::DATA, "other");
        let read = store.get(&key_in(path), &BlobName::DATA, GetOptions::default()).await;
        assert_eq!(read.is_err(), refused.contains(&path), "{path}");
    }
    let everywhere = Verified::new(Probe::default(), [Namespace::root()]);
    assert!(everywhere.put_bytes(&key_in("any"), "other".into()).await.is_err());
    let nowhere = Verified::new(Probe::default(), []);
    assert!(nowhere.put_bytes(&key_in("cas"), "other".into()).await.is_ok());
}

#[tokio::test]
async fn other_names_pass_unverified() {
    let (store, probe) = holding(CONTENT);
    let entry = PutEntry::default().with(log(), "newer text");
    store.put(&key(), entry, PutOptions::mode(PutMode::Merge)).await.unwrap();
    let read = store.get(&key(), &log(), GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(read.bytes().unwrap(), "newer text");
    assert_eq!(probe.calls(), ["put", "get"]);
}

#[tokio::test]
async fn large_content_is_hashed_in_turns_with_others() {
    const TURNS: usize = 5;
    let content = vec![7; TURNS * (256 << 10)];
    let digest = Digest::of(&content);
    let mut hashing = Box::pin(digest_of(&content));
    let mut turns = 1;
    while hashing.as_mut().now_or_never().is_none_or(|found| found != digest) {
        turns += 1;
        assert!(turns <= TURNS, "never ends");
    }
    assert_eq!(turns, TURNS);
}

#[tokio::test]
async fn what_does_not_read_content_is_forwarded() {
    let (store, probe) = holding("other");
    assert!(store.contains(&key()).await.unwrap());
    assert!(store.meta(&key()).await.unwrap().is_some());
    let listed: Vec<_> = store.list(ListOptions::of(&namespace("cas"))).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(store.info(), probe.info());
    store.evict(&key()).await.unwrap();
    assert_eq!(probe.calls(), ["contains", "meta", "list", "evict"]);
}

#[tokio::test]
async fn a_claimed_length_does_not_pass_for_a_range() {
    let (store, probe) = around(Probe { claims: 3, ..Probe::default() });
    for stream_above in [0, 100] {
        probe.plant(&key(), BlobName::DATA, "something else");
        let options = || GetOptions::default().with_stream_above(stream_above);
        let read = match store.get(&key(), &BlobName::DATA, options()).await {
            Ok(Some(blob)) => blob.collect(100).await,
            other => other.map(|_| Bytes::new()),
        };
        assert_eq!(read.unwrap_err().kind(), Corrupt);
        probe.plant(&key(), BlobName::DATA, "something else");
        let read = match store.get_entry(&key(), options()).await {
            Ok(Some(mut entry)) => entry.blobs.swap_remove(0).1.collect(100).await,
            other => other.map(|_| Bytes::new()),
        };
        assert_eq!(read.unwrap_err().kind(), Corrupt);
    }
}

#[tokio::test]
async fn verify_finds_content_that_is_not_what_its_name_says() {
    let (store, probe) = holding("012345678x");
    probe.plant(&key_in("elsewhere"), BlobName::DATA, "anything");
    let report = store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.entries, report.damaged, report.lost), (2, 1, vec![key()]));
    assert_eq!(probe.holds(&key(), &BlobName::DATA), None);
    assert!(store.verify(&Namespace::root(), &VerifyOptions::default()).await.unwrap().is_sound());
}
