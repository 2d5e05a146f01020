use futures::FutureExt;
use tokio::time::Instant;

use super::*;

async fn timed<T>(begun: Instant, work: impl Future<Output = Result<T>>) -> (Error, Duration) {
    let answer = work.await;
    (answer.err().unwrap(), begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_longer_than_the_deadline() {
    let store = Hanging::new(store());
    let subject = Subject::new(store.clone(), &with_deadline());
    store.hang();
    let (guard, key, begun) = (&subject.guard, &key(), Instant::now());
    let mut listing = guard.list(ListOptions::default());
    let (contains, evict, get, get_entry, put, meta, list) = futures::join!(
        timed(begun, guard.contains(key)),
        timed(begun, guard.evict(key)),
        timed(begun, guard.get(key, &BlobName::DATA, GetOptions::default())),
        timed(begun, guard.get_entry(key, GetOptions::default())),
        timed(begun, guard.put_bytes(key, "v".into())),
        timed(begun, guard.meta(key)),
        timed(begun, listing.next().map(Option::unwrap)),
    );
    let answers = [
        ("contains", contains),
        ("evict", evict),
        ("get", get),
        ("get_entry", get_entry),
        ("put", put),
        ("meta", meta),
        ("list", list),
    ];
    for (operation, (error, waited)) in answers {
        assert_eq!((error.kind(), error.store()), (ErrorKind::Timeout, "reference"), "{operation}");
        assert_eq!((error.operation(), error.detail()), (operation, Some("no answer within 2s")));
        assert_eq!(error.key().is_some(), operation != "list");
        assert!(waited >= DEADLINE && waited < DEADLINE * 2, "{operation}: {waited:?}");
    }
    assert_eq!((subject.counted().failures, subject.counted().timeouts), (7, 7));
    store.release();
    subject.assert_nothing_lingers().await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_has_ten_times_the_deadline() {
    let store = Slow::new(store()).with_only(&[Call::Flush]).with_delay(DEADLINE * 9);
    let subject = Subject::new(store.clone(), &with_both());
    subject.guard.flush().await.unwrap();
    store.set_delay(DEADLINE * 11);
    let error = subject.guard.flush().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Timeout, "flush"));
    assert_eq!((error.store(), error.detail()), ("reference", Some("no answer within 20s")));
    assert_eq!(subject.counted().timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn counting_cleaning_scrubbing_and_closing_take_their_time() {
    let hour = Duration::from_secs(3600);
    let calls = [Call::Usage, Call::Clean, Call::Close];
    let subject = Subject::new(Slow::new(store()).with_only(&calls).with_delay(hour), &with_both());
    let root = Namespace::root();
    subject.guard.usage(&root).await.unwrap();
    subject.guard.clean(&root, &CleanPolicy::default()).await.unwrap();
    subject.guard.close(None).await.unwrap();
    assert_eq!(subject.counted().failures, 0);

    let subject =
        Subject::new(Slow::new(store()).with_only(&[Call::GetEntry]).with_delay(hour), &with_both());
    subject.guard.put_bytes(&key(), "v".into()).await.unwrap();
    let verified = subject.guard.verify(&root, &VerifyOptions::default()).await.unwrap();
    assert_eq!((verified.entries, subject.counted().failures), (1, 0));
}

#[test]
fn outside_a_runtime_is_an_error_and_no_panic() {
    let guard = Subject::new(store(), &with_both()).guard;
    let source = stream::iter([Ok(Bytes::from("v"))]).boxed();
    let streamed = PutEntry::default().with_stream(BlobName::DATA, None, source);
    let errors = [
        guard.contains(&key()).now_or_never().unwrap().unwrap_err(),
        guard.evict(&key()).now_or_never().unwrap().unwrap_err(),
        guard.put_bytes(&key(), "v".into()).now_or_never().unwrap().unwrap_err(),
        guard.put(&key(), streamed, PutOptions::default()).now_or_never().unwrap().unwrap_err(),
        guard.flush().now_or_never().unwrap().unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.store()), (ErrorKind::Unsupported, "reference"));
    }
    assert_eq!(guard.lingering.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stack_does_not_wait_for_a_tier_that_closes_for_ever() {
    for write in [crate::WritePolicy::Through, crate::WritePolicy::Behind] {
        let hangs = Hanging::new(store()).with_only(&[Call::Close]);
        let stack = crate::LayeredStore::builder()
            .tier("hangs", Arc::new(hangs.clone()))
            .options(TierOptions::default().with_write(write))
            .build()
            .unwrap();
        hangs.hang();
        let begun = Instant::now();
        let error = stack.close(Some(DEADLINE)).await.unwrap_err();
        assert_eq!((error.kind(), error.store()), (ErrorKind::Timeout, "layered/hangs"));
        assert_eq!(error.detail(), Some("it goes on after its deadline of 2s"));
        assert_eq!(begun.elapsed(), DEADLINE + Duration::from_secs(1), "it has all of its deadline");
    }
}
