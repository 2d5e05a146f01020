//! Stores of this process that were dropped and are being closed: who opens the same database waits for that, and is
//! not told that it is locked.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cache_core::Result;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::sync::oneshot;

type End = Shared<BoxFuture<'static, ()>>;

static CLOSING: Mutex<BTreeMap<String, End>> = Mutex::new(BTreeMap::new());

fn closing() -> MutexGuard<'static, BTreeMap<String, End>> {
    CLOSING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The database there is being closed until the answer is used or dropped.
pub(crate) fn begin(location: &str) -> oneshot::Sender<Result<()>> {
    let (end, ended) = oneshot::channel();
    let mut closing = closing();
    // A store that found it locked ends as well.
    let before = closing.get(location).cloned();
    let ended = async move {
        if let Some(before) = before {
            before.await;
        }
        _ = ended.await;
    };
    let ended = ended.boxed().shared();
    // Those that have ended are of no use any more.
    closing.retain(|_, end| end.clone().now_or_never().is_none());
    closing.insert(location.to_owned(), ended);
    end
}

/// Waits while the database there is being closed by this process.
pub(crate) async fn wait(location: &str) {
    let end = closing().get(location).cloned();
    if let Some(end) = end {
        end.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_opens_waits_for_those_that_close_the_same() {
        let end = begin("here");
        assert!(wait("there").now_or_never().is_some());
        let mut waiting = Box::pin(wait("here"));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(end);
        waiting.await;
        wait("here").await;
        // A store that could not be opened ends as well, and another one of the same place has not for that.
        let end = begin("here");
        drop(begin("here"));
        let mut waiting = Box::pin(wait("here"));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(end);
        waiting.await;
        drop(begin("elsewhere"));
        assert!(!closing().contains_key("here"));
    }
}
