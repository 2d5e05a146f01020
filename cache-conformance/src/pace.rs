//! Futures that are dropped before their end.
#![expect(clippy::expect_used, reason = "a clause fails by panicking")]

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use cache_core::{PutMode, PutOptions};
use tokio::time::sleep;

use crate::{
    sample::{data, key_in, namespace},
    subject::Subject,
};

/// Futures are dropped after 0, 1, 2 polls and so on up to here.
pub(crate) const POLLS: u64 = 8;

/// How far apart polls are: so far that the last ones come when what the store does is about over, however
/// far away it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace(Duration);

impl Pace {
    /// As a small merge goes, which on a server is several requests.
    pub(crate) async fn of(store: &Subject) -> Self {
        let key = key_in(&namespace("pace"), 1);
        store.put_new(&key, &data("value")).await;
        let began = Instant::now();
        store.put_as(&key, &data("merged"), PutOptions::mode(PutMode::Merge)).await;
        let took = began.elapsed();
        store.evict(&key).await.expect("an eviction");
        Self((took / 4).clamp(Duration::from_millis(1), Duration::from_millis(50)))
    }

    /// Polls a future so often at most, with time between for what it waits for, and drops it. What it
    /// answered, if it did.
    pub(crate) async fn poll_and_drop<F: Future>(self, polls: u64, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(answer) = futures::poll!(future.as_mut()) {
                return Some(answer);
            }
            sleep(self.0).await;
        }
        None
    }
}
