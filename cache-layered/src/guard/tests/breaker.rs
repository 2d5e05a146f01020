use futures::{FutureExt, future::join_all};
use tokio::time::advance;

use super::*;

#[tokio::test(start_paused = true)]
async fn it_opens_after_failures_in_a_row_and_refuses_at_once() {
    let store = Flaky::new(store()).with_faults(When::Every(1));
    let subject = Subject::new(store.clone(), &with_breaker());
    subject.open().await;
    advance(Duration::from_millis(1800)).await;

    let refused = subject.guard.meta(&key()).now_or_never().expect("it waits for nothing").unwrap_err();
    assert_eq!((refused.kind(), refused.store()), (ErrorKind::Unavailable, "reference"));
    assert_eq!((refused.operation(), refused.key()), ("meta", Some(&key())));
    assert_eq!(refused.detail(), Some("left alone after 5 failures in a row, for 3.2 s more"));
    assert_eq!(store.calls(), 5);
    let counted = subject.counted();
    assert_eq!((counted.opened, counted.failures, counted.timeouts, counted.skipped), (1, 5, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_call_is_refused_while_it_is_open_but_close() {
    let store = Flaky::new(store()).with_faults(When::Every(1));
    let subject = Subject::new(store.clone(), &with_both());
    subject.open().await;
    let (guard, root) = (&subject.guard, Namespace::root());
    let refused = [
        guard.contains(&key()).await.err(),
        guard.evict(&key()).await.err(),
        guard.get(&key(), &BlobName::DATA, GetOptions::default()).await.err(),
        guard.get_entry(&key(), GetOptions::default()).await.err(),
        guard.put_bytes(&key(), "v".into()).await.err(),
        guard.meta(&key()).await.err(),
        guard.usage(&root).await.err(),
        guard.clean(&root, &CleanPolicy::default()).await.err(),
        guard.verify(&root, &VerifyOptions::default()).await.err(),
        guard.flush().await.err(),
    ];
    for (at, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_or_else(|| panic!("call {at} was let through"));
        assert!(refused.detail().unwrap().starts_with("left alone"), "{at}: {refused}");
    }
    let listed: Vec<_> = guard.list(ListOptions::default()).collect().await;
    assert!(matches!(listed.as_slice(), [Err(error)] if error.operation() == "list"));
    assert_eq!((store.calls(), subject.counted().skipped), (5, 11));

    store.arm(When::Never);
    guard.close(None).await.unwrap();
    assert_eq!(store.calls(), 6);
}

#[tokio::test(start_paused = true)]
async fn hits_at_once_are_not_asked_for_unless_it_is_closed() {
    let inner = store();
    inner.put_bytes(&key(), "v".into()).await.unwrap();
    let store = Flaky::new(inner);
    let subject = Subject::new(store.clone(), &with_breaker());
    let hit = || subject.guard.get_now(key().view(), &BlobName::DATA);
    assert_eq!(hit().unwrap(), "v");
    store.arm(When::Every(1));
    subject.open().await;
    store.arm(When::Never);
    assert_eq!(hit(), None);
    advance(PAUSE).await;
    assert_eq!(hit(), None);
    assert!(subject.guard.contains(&key()).await.unwrap());
    assert_eq!(hit().unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn only_sickness_counts() {
    for kind in [ErrorKind::Corrupt, ErrorKind::Denied, ErrorKind::NoSpace, ErrorKind::Closed] {
        let store = Flaky::new(store()).with_faults(When::Every(1)).with_kind(kind);
        let subject = Subject::new(store, &with_breaker());
        for _ in 0..20 {
            assert_eq!(subject.guard.contains(&key()).await.unwrap_err().kind(), kind);
        }
        assert_eq!((subject.guard.state(), subject.counted().failures), (BreakerState::Closed, 0));
    }
    let store = Flaky::new(store()).with_faults(When::Every(1)).with_kind(ErrorKind::Timeout);
    let subject = Subject::new(store, &with_breaker());
    subject.open().await;
    assert_eq!(subject.counted().timeouts, 5);
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_calls_one_finds_out_whether_it_is_well() {
    let flaky = Flaky::new(store()).with_faults(When::Every(1));
    let store = Hanging::new(flaky.clone());
    let subject = Subject::new(store.clone(), &with_both());
    subject.open().await;
    flaky.arm(When::Never);
    store.hang();
    advance(PAUSE).await;

    let calls = join_all((0..100).map(|_| async { subject.guard.contains(&key()).await }));
    let released = async {
        store.until_waiting(1).await;
        assert_eq!((store.waiting(), subject.counted().skipped), (1, 99));
        assert_eq!(subject.guard.state(), BreakerState::HalfOpen);
        store.release();
    };
    let (answers, ()) = futures::join!(calls, released);
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert_eq!((refused.len(), flaky.calls()), (99, 6));
    let why = "left alone after 5 failures in a row, until one call has found it well";
    assert!(refused.iter().all(|error| error.detail() == Some(why)));
    assert_eq!(subject.guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_is_well_again_is_asked_again_within_one_pause() {
    let store = Flaky::new(store()).with_faults(When::Every(1));
    let subject = Subject::new(store.clone(), &with_breaker());
    subject.open().await;
    advance(PAUSE).await;
    subject.guard.contains(&key()).await.unwrap_err();
    assert_eq!((subject.guard.state(), subject.counted().opened), (BreakerState::Open, 2));
    advance(PAUSE - Duration::from_millis(1)).await;
    subject.guard.contains(&key()).await.unwrap_err();
    assert_eq!(store.calls(), 6, "one failure opens it again for a whole pause");

    store.arm(When::Never);
    advance(Duration::from_millis(1)).await;
    assert!(!subject.guard.contains(&key()).await.unwrap());
    assert_eq!(subject.guard.state(), BreakerState::Closed);
    store.arm(When::Every(1));
    for _ in 0..4 {
        subject.guard.contains(&key()).await.unwrap_err();
    }
    assert_eq!(subject.guard.state(), BreakerState::Closed, "it is as if it had never been sick");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_an_error_is_an_answer() {
    let store = Flaky::new(store()).with_faults(When::Every(1));
    let subject = Subject::new(store.clone(), &with_breaker());
    subject.open().await;
    store.set_kind(ErrorKind::Denied);
    advance(PAUSE).await;
    assert_eq!(subject.guard.contains(&key()).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(subject.guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_probe_lets_the_next_call_find_out() {
    let flaky = Flaky::new(store()).with_faults(When::Every(1));
    let store = Hanging::new(flaky.clone());
    let subject = Subject::new(store.clone(), &with_breaker());
    subject.open().await;
    flaky.arm(When::Never);
    store.hang();
    advance(PAUSE).await;
    for _ in 0..3 {
        assert!(subject.guard.contains(&key()).now_or_never().is_none());
        assert_eq!(subject.guard.state(), BreakerState::Open);
    }
    store.release();
    assert!(!subject.guard.contains(&key()).await.unwrap());
    assert_eq!(subject.guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_never_answered_does_not_shut_it_for_good() {
    let flaky = Flaky::new(store()).with_faults(When::Every(1));
    let store = Hanging::new(flaky.clone());
    let subject = Subject::new(store.clone(), &with_breaker());
    subject.open().await;
    flaky.arm(When::Never);
    store.hang();
    advance(PAUSE).await;
    let key = key();
    let mut lost = Box::pin(subject.guard.contains(&key));
    assert!((&mut lost).now_or_never().is_none());
    advance(PAUSE).await;
    let mut probe = Box::pin(subject.guard.contains(&key));
    assert!((&mut probe).now_or_never().is_none());
    assert!(is_sick(&subject.guard.contains(&key).await.unwrap_err()));
    store.release();
    probe.await.unwrap();
    lost.await.unwrap();
    assert_eq!(subject.guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn streams_that_stall_open_it_although_they_begin_well() {
    let inner = store();
    inner.put_bytes(&key(), "v".into()).await.unwrap();
    let store = Hanging::new(inner);
    let subject = Subject::new(store.clone(), &with_both());
    let streamed = GetOptions::default().with_stream_above(0);
    for reads_entry in [false, true, false, true, false] {
        assert_eq!(subject.guard.state(), BreakerState::Closed);
        let blob = if reads_entry {
            let entry = subject.guard.get_entry(&key(), streamed.clone()).await.unwrap().unwrap();
            entry.blobs.into_iter().next().unwrap().1
        } else {
            subject.guard.get(&key(), &BlobName::DATA, streamed.clone()).await.unwrap().unwrap()
        };
        store.hang();
        let pieces: Vec<_> = blob.into_stream().collect().await;
        let [Err(error)] = pieces.as_slice() else { panic!("{pieces:?}") };
        assert_eq!((error.kind(), error.key()), (ErrorKind::Timeout, Some(&key())));
        assert_eq!(error.detail(), Some("no answer within 2s"));
        store.release();
    }
    assert_eq!((subject.guard.state(), subject.counted().timeouts), (BreakerState::Open, 5));
}

#[tokio::test(start_paused = true)]
async fn the_pieces_of_a_stream_end_a_row_of_failures() {
    let inner = store();
    inner.put_bytes(&key(), "v".into()).await.unwrap();
    let store = Flaky::new(inner);
    let subject = Subject::new(store.clone(), &with_breaker());
    for _ in 0..4 {
        store.arm(When::Nth(1));
        for _ in 0..2 {
            _ = subject.guard.contains(&key()).await;
        }
        store.arm(When::Every(1));
        for _ in 0..4 {
            subject.guard.contains(&key()).await.unwrap_err();
        }
        store.arm(When::Never);
        let streamed = GetOptions::default().with_stream_above(0);
        let blob = subject.guard.get(&key(), &BlobName::DATA, streamed).await.unwrap().unwrap();
        assert_eq!(blob.collect(9).await.unwrap(), "v");
    }
    assert_eq!(subject.guard.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn listings_count_and_find_out_as_other_calls_do() {
    let store = Flaky::new(store()).with_faults(When::Every(1));
    let subject = Subject::new(store.clone(), &with_both());
    let list = || subject.guard.list(ListOptions::default()).collect::<Vec<_>>();
    for _ in 0..5 {
        assert!(matches!(list().await.as_slice(), [Err(error)] if error.store() == "flaky"));
    }
    assert_eq!(subject.guard.state(), BreakerState::Open);
    advance(PAUSE).await;
    assert_eq!(list().await.len(), 1);
    assert_eq!(subject.guard.state(), BreakerState::Open);

    store.arm(When::Never);
    advance(PAUSE).await;
    let unread = subject.guard.list(ListOptions::default());
    assert_eq!(subject.guard.state(), BreakerState::Open, "who does not ask does not find out");
    assert!(list().await.is_empty());
    assert_eq!(subject.guard.state(), BreakerState::Closed, "that there is nothing is an answer");
    drop(unread);

    subject.guard.put_bytes(&key(), "v".into()).await.unwrap();
    assert_eq!(list().await.into_iter().map(|listed| listed.unwrap().key).collect::<Vec<_>>(), [key()]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_no_fault_of_the_tier() {
    for options in [with_breaker(), with_both()] {
        let store = Flaky::new(store());
        let subject = Subject::new(store.clone(), &options);
        let put = async || {
            let error = Error::new(ErrorKind::Unavailable, "source", "read");
            let source = stream::iter([Ok(Bytes::from("half")), Err(error)]).boxed();
            let entry = PutEntry::default().with_stream(BlobName::DATA, None, source);
            subject.guard.put(&key(), entry, PutOptions::default()).await.unwrap_err()
        };
        for _ in 0..20 {
            assert_eq!(put().await.kind(), ErrorKind::Unavailable);
        }
        assert_eq!((subject.guard.state(), subject.counted().failures), (BreakerState::Closed, 0));

        store.arm(When::Every(1));
        subject.open().await;
        store.arm(When::Never);
        advance(PAUSE).await;
        put().await;
        assert_eq!(subject.guard.state(), BreakerState::Open, "nothing was learnt");
        assert!(!subject.guard.contains(&key()).await.unwrap());
    }
}
