use futures::FutureExt;
use tokio::time::sleep;

use super::*;

fn slow(delay: Duration) -> Slow<ReferenceStore> {
    Slow::new(store()).with_only(&[Call::Put, Call::Evict]).with_delay(delay)
}

#[tokio::test(start_paused = true)]
async fn a_put_that_was_given_up_does_not_land_after_the_next_one() {
    let store = slow(Duration::from_secs(3));
    let subject = Subject::new(store.clone(), &with_deadline());
    let late = subject.guard.put_bytes(&key(), "v1".into()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout);
    assert_eq!(subject.guard.lingering.len(), 1);
    store.set_delay(Duration::ZERO);
    subject.guard.put_bytes(&key(), "v2".into()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(&store).await.unwrap(), "v2");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_put_that_was_given_up_does_not_land_after_an_eviction() {
    let store = slow(Duration::from_secs(3));
    let subject = Subject::new(store.clone(), &with_deadline());
    subject.guard.put_bytes(&key(), "v1".into()).await.unwrap_err();
    store.set_delay(Duration::ZERO);
    subject.guard.evict(&key()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(&store).await, None);
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn an_eviction_that_was_given_up_does_not_take_the_next_put() {
    let store = slow(Duration::from_secs(3));
    let subject = Subject::new(store.clone(), &with_deadline());
    subject.guard.evict(&key()).await.unwrap_err();
    store.set_delay(Duration::ZERO);
    subject.guard.put_bytes(&key(), "v2".into()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(&store).await.unwrap(), "v2");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_for_an_earlier_write_changes_nothing() {
    let store = slow(Duration::from_secs(30));
    let subject = Subject::new(store.clone(), &with_both());
    subject.guard.put_bytes(&key(), "v1".into()).await.unwrap_err();
    store.set_delay(Duration::ZERO);
    let source = stream::iter([Ok(Bytes::from("v4"))]).boxed();
    let streamed = PutEntry::default().with_stream(BlobName::DATA, None, source);
    let errors = [
        subject.guard.put_bytes(&key(), "v2".into()).await.unwrap_err(),
        subject.guard.evict(&key()).await.unwrap_err(),
        subject.guard.put(&key(), streamed, PutOptions::default()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.key()), (ErrorKind::Timeout, Some(&key())));
        let why = "an earlier write has not ended within 2s, and this one was not begun";
        assert_eq!(error.detail(), Some(why));
    }
    assert_eq!(subject.counted().timeouts, 4);
    // Other keys are not held up.
    subject.guard.put_bytes(&Digest::of("other").into(), "v".into()).await.unwrap();

    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(&store).await.unwrap(), "v1");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_put_ends_before_the_next_one_begins() {
    let store = slow(Duration::from_secs(1));
    let subject = Subject::new(store.clone(), &with_deadline());
    assert!(subject.guard.put_bytes(&key(), "v1".into()).now_or_never().is_none());
    store.set_delay(Duration::ZERO);
    // The task of the first one has to have seen how slow the store is.
    sleep(Duration::from_millis(1)).await;
    subject.guard.put_bytes(&key(), "v2".into()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(value(&store).await.unwrap(), "v2");
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_waited_for_do_not_wait_for_each_other() {
    let store = Hanging::new(store());
    let subject = Subject::new(store.clone(), &with_deadline());
    store.hang();
    let writes = async {
        let write = || async { subject.guard.put_bytes(&key(), "v".into()).await };
        futures::join!(write(), write())
    };
    let both = async {
        store.until_waiting(2).await;
        store.release();
    };
    let ((one, other), ()) = futures::join!(writes, both);
    assert!(one.is_ok() && other.is_ok());
    subject.assert_nothing_lingers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_writes_that_are_dropped_as_they_end() {
    let subject = Subject::new(store(), &TierOptions::default().with_deadline(Duration::from_secs(600)));
    for n in 0..5_000_u32 {
        let key = Key::from(Digest::of(n.to_le_bytes()));
        let mut put = subject.guard.put_bytes(&key, "v".into());
        _ = futures::poll!(&mut put);
        if n % 2 == 0 {
            tokio::task::yield_now().await;
        }
    }
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_ends_no_writes_is_given_no_more_of_them() {
    let store = Hanging::new(store()).with_only(&[Call::Put, Call::Evict]);
    let subject = Subject::new(store.clone(), &with_deadline());
    store.hang();
    let other = |n: usize| Key::from(Digest::of(n.to_string()));
    for n in 0..64 {
        let late = subject.guard.put_bytes(&other(n), "v".into()).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
    }
    for n in 64..1000 {
        let refused = subject.guard.put_bytes(&other(n), "v".into()).await.unwrap_err();
        let why = "too many earlier writes have not ended, and this one was not begun";
        assert_eq!((refused.kind(), refused.detail()), (ErrorKind::Unavailable, Some(why)));
        assert_eq!(subject.guard.evict(&other(n)).await.unwrap_err().detail(), Some(why));
    }
    assert_eq!(store.waiting(), 64);
    let counted = subject.counted();
    assert_eq!((counted.failures, counted.skipped), (64, 2 * 936), "a refusal is no new failure");
    assert_eq!(value(&subject.guard).await, None, "reads go on");

    store.release();
    sleep(Duration::from_secs(1)).await;
    subject.guard.put_bytes(&key(), "v".into()).await.unwrap();
    subject.assert_nothing_lingers().await;
}
