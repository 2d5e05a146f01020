//! A close writes what it can, and says what it could not.

use cache_core::KeyManagement;
use futures::FutureExt;

use super::*;

fn durable() -> Reference {
    let mut powers = Reference::default().powers();
    (powers.shared, powers.cross_process_merge, powers.spills) = (false, false, false);
    Reference::with_powers(powers)
}

#[tokio::test(start_paused = true)]
async fn close_writes_what_waits() {
    let reference = durable();
    let tier = tier_of(&reference);
    let store = behind(&tier);
    for number in 0..20 {
        put(&store, &number.to_string(), "v").await.unwrap();
    }
    assert_eq!(store.close(None).await.unwrap().left, 0);
    assert_eq!(kind(put(&store, "a", "v").await), ErrorKind::Closed);
    assert!(!store.owe_evict(&key("a")));
    assert_eq!(kind(store.contains(&key("a")).await), ErrorKind::Closed);
    assert_eq!(store.close(None).await.unwrap().left, 0, "a second one is fine");
    drop((store, tier));
    let reopened = reference.store(&Setup::default()).unwrap();
    for number in 0..20 {
        assert_eq!(get(&reopened, &number.to_string()).await.unwrap(), "v");
    }
}

#[tokio::test(start_paused = true)]
async fn close_says_what_is_left() {
    let (tier, store) = stuck();
    for name in ["a", "b", "c"] {
        put(&store, name, "v").await.unwrap();
    }
    until(|| tier.failed() > 6).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(store.close(None).await.unwrap().left, 3);
    assert_eq!(begun.elapsed(), Duration::ZERO, "a sick tier is tried once more and not waited for");
    assert_eq!(store.close(None).await.unwrap().left, 0, "it was told");
    let failed = tier.failed();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(tier.failed(), failed, "nothing is tried after a close");
}

#[tokio::test(start_paused = true)]
async fn close_counts_losses_that_no_flush_has_told_of() {
    let tier = tier();
    tier.inner().inner().set_room(0);
    let store = behind(&tier);
    put(&store, "a", "v").await.unwrap();
    put(&store, "b", "v").await.unwrap();
    assert_eq!(kind(store.flush().await), ErrorKind::NoSpace);
    put(&store, "c", "v").await.unwrap();
    assert_eq!(store.close(None).await.unwrap().left, 1);
}

#[tokio::test(start_paused = true)]
async fn close_honours_its_deadline_although_the_tier_hangs() {
    let tier = tier();
    tier.inner().hang();
    let store = behind(&tier);
    put(&store, "a", "v").await.unwrap();
    let begun = tokio::time::Instant::now();
    let report = store.close(Some(Duration::from_secs(2))).await.unwrap();
    assert_eq!((report.left, begun.elapsed()), (1, Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn close_ends_puts_that_wait_for_room() {
    let tier = tier();
    tier.inner().hang();
    let store = behind(&tier);
    for name in ["a", "b"] {
        put(&store, name, vec![1; 30 << 10]).await.unwrap();
    }
    let waits = put(&store, "c", vec![1; 30 << 10]);
    let closes = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        store.close(Some(Duration::from_secs(1))).await.unwrap()
    };
    let (waited, report) = futures::join!(waits, closes);
    assert_eq!((kind(waited), report.left), (ErrorKind::Closed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_close_is_one_from_its_first_poll_on() {
    let tier = tier();
    tier.inner().hang();
    let store = behind(&tier);
    put(&store, "a", "v").await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, store.close(None)).await.is_err());
    assert_eq!(kind(put(&store, "b", "v").await), ErrorKind::Closed);
    tier.inner().release();
    assert_eq!(store.close(None).await.unwrap().left, 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_holds_any_more_is_not_tried_for_ever() {
    let (tier, store) = stuck();
    put(&store, "a", "v").await.unwrap();
    until(|| tier.failed() == 3).await;
    let shared = Arc::downgrade(&store.shared);
    drop(store);
    until(|| shared.strong_count() == 0).await;
    assert!(tier.failed() <= 4);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_task_while_nothing_waits() {
    let tier = tier();
    let store = behind(&tier);
    assert!(store.shared.tasks.is_empty());
    for _ in 0..2 {
        put(&store, "a", "v").await.unwrap();
        assert_eq!(store.shared.tasks.len(), 1);
        until(|| store.shared.tasks.is_empty()).await;
        assert_eq!(store.queued(), (0, 0));
    }
}

#[test]
fn outside_a_runtime_a_put_is_an_error() {
    let store = behind(&tier());
    let put = put(&store, "a", "v").now_or_never().unwrap();
    assert_eq!(kind(put), ErrorKind::Unsupported);
    assert!(!store.owe_evict(&key("a")));
    assert_eq!(get(&store, "a").now_or_never().unwrap(), None);
}

#[test]
fn what_waits_outlives_the_runtime_in_which_it_was_put() {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let tier = tier();
    let store = behind(&tier);
    tier.inner().hang();
    runtime().block_on(async {
        put(&store, "a", "v").await.unwrap();
        tier.inner().until_waiting(1).await;
    });
    tier.inner().release();
    runtime().block_on(async {
        assert_eq!(get(&store, "a").await.unwrap(), "v");
        put(&store, "b", "v").await.unwrap();
        until(|| store.queued() == (0, 0)).await;
        assert_eq!(below(&tier, "a").await.unwrap(), "v");
    });
}

#[tokio::test(start_paused = true)]
async fn a_close_that_fails_tells_what_every_tier_has_left() {
    let stuck = || {
        let tier = tier();
        fail(&tier, ErrorKind::Unavailable);
        Flaky::new(tier).with_only(&[Call::Close])
    };
    let (first, second) = (stuck(), stuck());
    first.arm(When::Every(1));
    let behind = options().with_breaker(None);
    let store = crate::LayeredStore::builder()
        .tier("first", Arc::new(first))
        .options(behind.clone())
        .tier("second", Arc::new(second))
        .options(behind)
        .build()
        .unwrap();
    for name in ["a", "b", "c"] {
        put(&store, name, "v").await.unwrap();
    }
    let error = store.close(None).await.unwrap_err();
    assert_eq!(error.store(), "layered/first");
    let told = error.detail().unwrap();
    assert!(told.ends_with("3 entries were not written and are lost; tier \"second\" left 3"), "{told}");
}
