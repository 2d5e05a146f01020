//! What can never be written is told, and nothing older takes its place.

use std::error::Error as _;

use super::*;
use crate::LayeredStore;

#[tokio::test(start_paused = true)]
async fn a_put_that_cannot_be_written_is_told_once_by_the_next_flush() {
    let tier = tier();
    tier.inner().inner().set_room(0);
    let (store, tally) = behind_with(&tier, &options());
    put(&store, "a", "v").await.unwrap();
    put(&store, "b", "v").await.unwrap();
    until(|| store.queued() == (0, 0)).await;
    assert_eq!(tally.snapshot().dropped, 2);
    let told = store.flush().await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::NoSpace);
    assert_eq!(told.detail(), Some("2 puts could not be written to this tier and are lost"));
    assert!(told.source().is_some_and(|source| source.to_string().contains("no space left")));
    store.flush().await.expect("it is told once");
    put(&store, "c", "v").await.unwrap();
    assert_eq!(kind(store.flush().await), ErrorKind::NoSpace, "also if the flush is what tries to write it");
    store.flush().await.expect("it is told once");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_flush_has_told_nobody_of_losses() {
    let flushes = Hanging::new(tier()).with_only(&[Call::Flush]);
    flushes.inner().inner().inner().set_room(0);
    let store = Behind::new(Arc::new(flushes.clone()), &options(), Arc::default(), Arc::new(SystemClock));
    put(&store, "a", "v").await.unwrap();
    until(|| store.queued().0 == 0).await;
    flushes.hang();
    assert!(tokio::time::timeout(Duration::from_secs(1), store.flush()).await.is_err(), "it hangs");
    flushes.release();
    assert_eq!(kind(store.flush().await), ErrorKind::NoSpace);
    store.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_older_value_does_not_come_back_for_a_dropped_put() {
    for permanent in
        [ErrorKind::NoSpace, ErrorKind::TooLarge, ErrorKind::Denied, ErrorKind::Invalid, ErrorKind::Corrupt]
    {
        let tier = tier();
        let store = behind(&tier);
        put(&store, "a", "old").await.unwrap();
        store.flush().await.unwrap();
        // The put fails, and so does the eviction that stands in for it.
        fail(&tier, permanent);
        put(&store, "a", "new").await.unwrap();
        assert_eq!(get(&store, "a").await.unwrap(), "new");
        until(|| tier.failed() >= 3).await;
        assert_eq!(get(&store, "a").await, None, "neither the new value nor the old one");
        assert_eq!(below(&tier, "a").await.unwrap(), "old", "which the tier has still");
        assert_eq!(store.queued().0, 1, "the eviction is never forgotten");
        assert_eq!(kind(store.flush().await), permanent);
        tier.arm(When::Never);
        until(|| store.queued() == (0, 0)).await;
        assert_eq!(below(&tier, "a").await, None);
        assert_eq!(
            kind(store.flush().await),
            permanent,
            "the loss is told by the first flush that writes all"
        );
        store.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_replaced_before_it_fails_is_no_loss() {
    let tier = tier();
    let (store, tally) = behind_with(&tier, &options());
    tier.inner().inner().set_room(3);
    tier.inner().hang();
    put(&store, "a", "too long").await.unwrap();
    tier.inner().until_waiting(1).await;
    put(&store, "a", "v").await.unwrap();
    tier.inner().release();
    store.flush().await.unwrap();
    assert_eq!((below(&tier, "a").await.unwrap(), tally.snapshot().dropped), ("v".into(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_eviction_does_not_bring_back_what_is_older() {
    let tier = tier();
    let store = behind(&tier);
    put(&store, "a", "oldest").await.unwrap();
    store.flush().await.unwrap();
    fail(&tier, ErrorKind::Unavailable);
    put(&store, "a", "newer").await.unwrap();
    assert_eq!(kind(cache_core::KeyManagement::evict(&store, &key("a")).await), ErrorKind::Unavailable);
    assert_eq!(get(&store, "a").await, None);
    assert_eq!(below(&tier, "a").await.unwrap(), "oldest");
    tier.arm(When::Never);
    until(|| store.queued() == (0, 0)).await;
    assert_eq!(below(&tier, "a").await, None);
}

/// A stack with a tier that has lost a put, a second one that has if it is to, and one whose flush hangs.
async fn stack_with_losses(second_is_full: bool) -> (LayeredStore, Hanging<ReferenceStore>) {
    let (first, second) = (tier(), tier());
    first.inner().inner().set_room(0);
    if second_is_full {
        second.inner().inner().set_room(0);
    }
    let reference = Reference::volatile().store(&Setup::default()).unwrap();
    let hanging = Hanging::new(reference).with_only(&[Call::Flush]);
    let plain = TierOptions::default().with_breaker(None);
    let store = LayeredStore::builder()
        .tier("first", Arc::new(first))
        .options(plain.clone().with_write(WritePolicy::Behind))
        .tier("second", Arc::new(second))
        .options(plain.clone().with_write(WritePolicy::Behind))
        .tier("hanging", Arc::new(hanging.clone()))
        .options(plain.with_read(false).with_max_entry_bytes(1))
        .build()
        .unwrap();
    put(&store, "a", "value").await.unwrap();
    let lost = if second_is_full { 2 } else { 1 };
    let dropped = || store.metrics().tiers.iter().map(|(_, tier)| tier.as_tier.unwrap().dropped).sum::<u64>();
    until(|| dropped() == lost).await;
    (store, hanging)
}

#[tokio::test(start_paused = true)]
async fn a_dropped_flush_of_the_stack_has_told_nobody_of_losses() {
    let (store, other) = stack_with_losses(false).await;
    other.hang();
    assert!(tokio::time::timeout(Duration::from_secs(5), store.flush()).await.is_err(), "it hangs");
    other.release();
    let told = store.flush().await.unwrap_err();
    assert_eq!((told.kind(), told.store()), (ErrorKind::NoSpace, "layered/first"));
    assert!(told.detail().unwrap().starts_with("1 put could not be written to this tier and are lost"));
    store.flush().await.expect("it is told once");
}

#[tokio::test(start_paused = true)]
async fn of_two_flushes_at_a_time_none_answers_that_all_is_well_although_something_is_lost() {
    let (store, other) = stack_with_losses(false).await;
    other.hang();
    let flushes = async { futures::join!(store.flush(), store.flush()) };
    let ((one, another), ()) = futures::join!(flushes, async {
        other.until_waiting(2).await;
        other.release();
    });
    assert_eq!((kind(one), kind(another)), (ErrorKind::NoSpace, ErrorKind::NoSpace));
    store.flush().await.expect("both were told");
}

#[tokio::test(start_paused = true)]
async fn one_answer_of_the_stack_tells_of_losses_in_all_tiers() {
    let (store, _) = stack_with_losses(true).await;
    let told = store.flush().await.unwrap_err();
    let lost = "1 put could not be written to this tier and are lost";
    let both = format!("{lost}; tier \"second\": {lost}");
    assert!(told.detail().unwrap().starts_with(&both), "{told}");
    store.flush().await.expect("both were told");
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_not_told_by_another_failure_of_the_stack() {
    let fails = Flaky::new(tier()).with_only(&[Call::Flush]);
    let full = tier();
    full.inner().inner().set_room(0);
    let plain = TierOptions::default().with_breaker(None);
    let store = LayeredStore::builder()
        .tier("fails", Arc::new(fails.clone()))
        .options(plain.clone())
        .tier("full", Arc::new(full))
        .options(plain.with_write(WritePolicy::Behind))
        .build()
        .unwrap();
    put(&store, "a", "v").await.unwrap();
    fails.set_kind(ErrorKind::Unavailable);
    fails.arm(When::Every(1));
    for _ in 0..2 {
        assert_eq!(kind(store.flush().await), ErrorKind::Unavailable);
    }
    fails.arm(When::Never);
    assert_eq!(kind(store.flush().await), ErrorKind::NoSpace, "what nobody was told of");
    store.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_the_one_that_is_told_is_told_next() {
    let tier = tier();
    tier.inner().inner().set_room(0);
    let store = behind(&tier);
    put(&store, "a", "v").await.unwrap();
    let loss = store.flush_telling().await.unwrap().unwrap_err();
    put(&store, "b", "v").await.unwrap();
    until(|| store.queued().0 == 0).await;
    store.told(loss.up_to);
    let told = store.flush().await.unwrap_err();
    assert_eq!(told.detail(), Some("1 put could not be written to this tier and are lost"));
    store.flush().await.unwrap();
}
