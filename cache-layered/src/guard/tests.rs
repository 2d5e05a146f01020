//! Each rule under a paused clock, and the whole suite around it.

mod breaker;
mod conformance;
mod deadline;
mod put_stream;
mod write;

use cache_conformance::{
    Reference, ReferenceStore, Setup,
    fault::{Call, Flaky, Hanging, Slow, When},
};
use cache_core::{Digest, StoreExt, TierMetrics};

use super::*;
use crate::BreakerOptions;

const DEADLINE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(5);

/// A guarded store, and what it is guarded with.
struct Subject {
    guard: Guarded,
    tally: Arc<Tally>,
    tasks: TaskTracker,
}

impl Subject {
    fn new(store: impl Store, options: &TierOptions) -> Self {
        let (tally, tasks) = (Arc::<Tally>::default(), TaskTracker::new());
        let guard = Guarded::new(Arc::new(store), options, Arc::clone(&tally), tasks.clone());
        Self { guard, tally, tasks }
    }

    fn counted(&self) -> TierMetrics {
        self.tally.snapshot()
    }

    /// Has the breaker open, by a store that fails each call.
    async fn open(&self) {
        for _ in 0..5 {
            assert!(is_sick(&self.guard.contains(&key()).await.unwrap_err()));
        }
        assert_eq!(self.guard.state(), BreakerState::Open);
    }

    /// What every test of writes ends with.
    async fn assert_nothing_lingers(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.guard.lingering.len(), 0);
    }
}

fn store() -> ReferenceStore {
    Reference::volatile().store(&Setup::default()).unwrap()
}

fn with_breaker() -> TierOptions {
    TierOptions::default().with_breaker(BreakerOptions::default().with_pause(PAUSE))
}

fn with_deadline() -> TierOptions {
    TierOptions::default().with_breaker(None).with_deadline(DEADLINE)
}

fn with_both() -> TierOptions {
    with_breaker().with_deadline(DEADLINE)
}

fn key() -> Key {
    Key::from(Digest::of("k"))
}

fn is_sick(error: &Error) -> bool {
    crate::tally::is_sickness(error)
}

async fn value(store: &impl Store) -> Option<Bytes> {
    store.get_bytes(&key(), &BlobName::DATA).await.unwrap()
}

#[tokio::test]
async fn what_it_tells_is_the_stores_but_for_spilling() {
    let inner = Reference::default().store(&Setup::default()).unwrap();
    let mut info = inner.info();
    assert!(info.powers.spills);
    info.powers.spills = false;
    assert_eq!(Subject::new(inner, &with_both()).guard.info(), info);
}

#[tokio::test(start_paused = true)]
async fn without_breaker_and_deadline_nothing_is_refused() {
    let store = Flaky::new(store()).with_faults(When::Every(1));
    let subject = Subject::new(store.clone(), &TierOptions::default().with_breaker(None));
    for _ in 0..100 {
        assert_eq!(subject.guard.contains(&key()).await.unwrap_err().store(), "flaky");
    }
    assert_eq!((store.calls(), subject.guard.state()), (100, BreakerState::Closed));
    assert_eq!((subject.counted().failures, subject.counted().skipped), (100, 0));
}
