use cache_core::ByteStream;
use futures::FutureExt;
use tokio::{sync::oneshot, time::sleep};

use super::*;

fn entry(source: impl futures::Stream<Item = Result<Bytes>> + Send + 'static) -> PutEntry {
    PutEntry::default().with_stream(BlobName::DATA, None, source.boxed())
}

/// Pieces at once, and who is told when nobody holds their stream any more.
fn pieces(count: usize) -> (ByteStream, oneshot::Receiver<()>) {
    let (held, dropped) = oneshot::channel::<()>();
    let pieces = stream::iter(0..count).map(move |_| {
        let _held = &held;
        Ok(Bytes::from("piece"))
    });
    (pieces.boxed(), dropped)
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_costs_the_tier_nothing() {
    let subject = Subject::new(store(), &with_both());
    let slow = stream::iter(["a", "b", "c"]).then(|piece| async move {
        sleep(Duration::from_secs(3600)).await;
        Ok(Bytes::from(piece))
    });
    subject.guard.put(&key(), entry(slow), PutOptions::default()).await.unwrap();
    assert_eq!(value(&subject.guard).await.unwrap(), "abc");
    assert_eq!(subject.counted().failures, 0);
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_takes_nothing_is_given_up_and_so_is_the_source() {
    let store = Hanging::new(store()).with_only(&[Call::PutStream]);
    store.put_bytes(&key(), "old".into()).await.unwrap();
    let subject = Subject::new(store.clone(), &with_deadline());
    store.hang();
    let (source, dropped) = pieces(10);
    let error = subject.guard.put(&key(), entry(source), PutOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::Timeout, Some("no answer within 2s")));
    assert_eq!((error.operation(), error.key()), ("put", Some(&key())));
    assert!(dropped.now_or_never().is_some(), "the source is free although the store hangs on");
    assert_eq!((subject.counted().timeouts, subject.guard.lingering.len()), (1, 1));

    store.release();
    subject.assert_nothing_lingers().await;
    assert_eq!(value(&store).await.unwrap(), "old", "what was told of is not there later");
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_takes_all_and_does_not_answer_is_given_up() {
    let store = Hanging::new(store()).with_only(&[Call::PutStream]).with_held_replies();
    let subject = Subject::new(store.clone(), &with_deadline());
    store.hang();
    let (source, _) = pieces(10);
    let error = subject.guard.put(&key(), entry(source), PutOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::Timeout, Some("no answer within 2s")));
    store.release();
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn each_piece_has_the_deadline_of_its_own() {
    // A store that takes its time for each piece, and so for all of them far more.
    let store = Slow::new(store()).with_slow_pieces().with_only(&[]).with_delay(DEADLINE / 2);
    let subject = Subject::new(store.clone(), &with_deadline());
    let (source, _) = pieces(50);
    subject.guard.put(&key(), entry(source), PutOptions::default()).await.unwrap();
    store.set_delay(DEADLINE * 2);
    let (source, _) = pieces(50);
    let error = subject.guard.put(&key(), entry(source), PutOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_put_lets_go_of_its_source_and_ends() {
    let store = store();
    store.put_bytes(&key(), "old".into()).await.unwrap();
    let subject = Subject::new(store.clone(), &with_deadline());
    let (source, dropped) = pieces(1);
    let stalls = source.chain(stream::pending());
    let key = key();
    let mut put = subject.guard.put(&key, entry(stalls), PutOptions::default());
    for _ in 0..10 {
        assert!(futures::poll!(&mut put).is_pending());
        tokio::task::yield_now().await;
    }
    drop(put);
    assert!(dropped.now_or_never().is_some());
    subject.guard.put_bytes(&key, "new".into()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(&store).await.unwrap(), "new");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn streams_and_blobs_in_hand_arrive_in_their_order() {
    let subject = Subject::new(store(), &with_deadline());
    let name = |name: &str| BlobName::new(name).unwrap();
    let entry = PutEntry::default()
        .with_stream(name("z"), Some(6), stream::iter(["one", "two"]).map(|it| Ok(it.into())).boxed())
        .with(name("in-hand"), "three")
        .with_stream(name("a"), None, stream::empty().boxed());
    subject.guard.put(&key(), entry, PutOptions::default()).await.unwrap();
    let mut read = subject.guard.get_entry(&key(), GetOptions::default()).await.unwrap().unwrap();
    for (blob, bytes) in [("a", ""), ("in-hand", "three"), ("z", "onetwo")] {
        assert_eq!(read.take(&name(blob)).unwrap().collect(99).await.unwrap(), bytes);
    }
}

/// A put of a stream whose source has given what it has, and the sender by whose drop it ends. A write in hand of the
/// same key lingers by then.
async fn overtaken(
    store: &Hanging<ReferenceStore>,
    subject: &Subject,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Result<PutOutcome>>) {
    let (open, ends) = oneshot::channel::<()>();
    let source =
        stream::iter([Ok(Bytes::from("newest"))]).chain(stream::once(ends).filter_map(async |_| None));
    let guard = subject.guard.clone();
    let put = TaskTracker::new()
        .spawn(async move { guard.put(&key(), entry(source), PutOptions::default()).await });
    sleep(Duration::from_millis(100)).await;
    store.hang();
    let late = subject.guard.put_bytes(&key(), "late".into()).await.unwrap_err();
    assert_eq!((late.kind(), subject.guard.lingering.len()), (ErrorKind::Timeout, 1));
    (open, put)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_comes_to_linger_during_a_stream_does_not_land_after_it() {
    let store = Hanging::new(store()).with_only(&[Call::Put]);
    let subject = Subject::new(store.clone(), &with_deadline());
    let (open, put) = overtaken(&store, &subject).await;
    drop(open);
    sleep(Duration::from_millis(100)).await;
    assert!(!put.is_finished(), "it waits for the one before");
    store.release();
    put.await.unwrap().unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(store.inner()).await.unwrap(), "newest");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_in_vain_for_an_earlier_write_is_given_up() {
    let store = Hanging::new(store()).with_only(&[Call::Put]);
    let subject = Subject::new(store.clone(), &with_deadline());
    let (open, put) = overtaken(&store, &subject).await;
    drop(open);
    let error = put.await.unwrap().unwrap_err();
    let why = "an earlier write has not ended within 2s, and this one was given up";
    assert_eq!((error.kind(), error.detail()), (ErrorKind::Timeout, Some(why)));
    store.release();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(store.inner()).await.unwrap(), "late", "what was told of is not there later");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_a_stack_gave_up_does_not_land_after_a_stream_that_it_took() {
    let slow = Hanging::new(store()).with_only(&[Call::Put]);
    let stack = crate::LayeredStore::builder()
        .tier("fast", Arc::new(store()))
        .tier("slow", Arc::new(slow.clone()))
        .options(with_deadline())
        .build()
        .unwrap();
    let (open, ends) = oneshot::channel::<()>();
    let source =
        stream::iter([Ok(Bytes::from("newest"))]).chain(stream::once(ends).filter_map(async |_| None));
    let streams = stack.clone();
    let put = TaskTracker::new()
        .spawn(async move { streams.put(&key(), entry(source), PutOptions::default()).await });
    sleep(Duration::from_millis(100)).await;
    slow.hang();
    let late = stack.put_bytes(&key(), "late".into()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    drop(open);
    sleep(Duration::from_millis(100)).await;
    slow.release();
    put.await.unwrap().unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(slow.inner()).await.unwrap(), "newest");
    assert_eq!(value(&stack).await.unwrap(), "newest");
}
