//! A tier that cannot be written for a while gets everything when it is well again.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_fails_for_now_is_tried_again_ever_more_slowly() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Locked] {
        let (tier, store) = stuck();
        tier.set_kind(kind);
        put(&store, "a", "v").await.unwrap();
        let begun = tokio::time::Instant::now();
        let mut tries = Vec::new();
        for nth in 1..=10 {
            until(|| tier.failed() == nth).await;
            tries.push(begun.elapsed().as_millis());
        }
        let pauses: Vec<_> = tries.windows(2).map(|pair| (pair[1] - pair[0] + 50) / 100 * 100).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(store.queued().0, 1);

        tier.arm(When::Never);
        until(|| store.queued().0 == 0).await;
        assert_eq!(below(&tier, "a").await.unwrap(), "v");
        // It starts over.
        fail(&tier, kind);
        let failed = tier.failed();
        put(&store, "a", "w").await.unwrap();
        until(|| tier.failed() == failed + 1).await;
        let begun = tokio::time::Instant::now();
        until(|| tier.failed() == failed + 2).await;
        assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_sick_tier_is_left_alone_as_a_whole() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    until(|| tier.calls() == 1).await;
    for name in ["b", "c", "d"] {
        put(&store, name, "v").await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(tier.calls(), 1, "nothing else is tried in the pause");
    tier.arm(When::Never);
    until(|| store.queued() == (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_writes_all_that_was_accepted_before_it() {
    let (tier, store) = stuck();
    for number in 0..20 {
        put(&store, &number.to_string(), "v").await.unwrap();
    }
    // It is left alone for seconds by now.
    until(|| tier.failed() > 20).await;
    tier.arm(When::Never);
    let begun = tokio::time::Instant::now();
    store.flush().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "a flush waits for no pause");
    for number in 0..20 {
        assert_eq!(below(&tier, &number.to_string()).await.unwrap(), "v");
    }
    assert_eq!(store.queued(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flush_fails_as_long_as_something_cannot_be_written() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    for flushes in 1..3 {
        assert_eq!(kind(store.flush().await), ErrorKind::Unavailable);
        assert_eq!(
            tier.inner().inner().inner().metrics().flushes,
            flushes,
            "the tier is flushed all the same"
        );
    }
    assert_eq!(get(&store, "a").await.unwrap(), "v", "it waits on");
    tier.arm(When::Never);
    store.flush().await.unwrap();
    assert_eq!(below(&tier, "a").await.unwrap(), "v");
}

#[tokio::test(start_paused = true)]
async fn a_flush_tries_each_word_once() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    put(&store, "b", "v").await.unwrap();
    until(|| tier.failed() == 2).await;
    assert_eq!(kind(store.flush().await), ErrorKind::Unavailable);
    assert_eq!(tier.failed(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_what_is_put_after_it() {
    let tier = tier();
    let slow = cache_conformance::fault::Slow::new(tier.clone()).with_delay(Duration::from_millis(10));
    let store = Behind::new(Arc::new(slow), &options(), Arc::default(), Arc::new(SystemClock));
    let putting = async {
        for number in 0.. {
            put(&store, &(number % 7).to_string(), "v").await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let flushes = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(3)).await;
            store.flush().await.unwrap();
        }
    };
    let flushed = async {
        tokio::select! { () = putting => unreachable!(), () = flushes => {} }
    };
    tokio::time::timeout(Duration::from_secs(60), flushed).await.expect("a flush ends beside puts");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_flush_forgets_nothing() {
    let tier = tier();
    tier.inner().hang();
    let store = behind(&tier);
    for name in ["a", "b"] {
        put(&store, name, "v").await.unwrap();
    }
    let flush = tokio::time::timeout(Duration::from_secs(1), store.flush());
    assert!(flush.await.is_err(), "it hangs");
    tier.inner().release();
    store.flush().await.unwrap();
    for name in ["a", "b"] {
        assert_eq!(below(&tier, name).await.unwrap(), "v");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clean_takes_what_waits_into_account() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    let everything = cache_core::CleanPolicy::default().with_max_bytes(0);
    let root = cache_core::Namespace::root();
    assert_eq!(kind(store.clean(&root, &everything).await), ErrorKind::Unavailable);
    tier.arm(When::Never);
    assert_eq!(store.clean(&root, &everything).await.unwrap().evicted_entries, 1);
    assert_eq!(get(&store, "a").await, None);
}
