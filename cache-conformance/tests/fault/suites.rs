//! The suite passes over each fault that is not armed, and finds each one that is.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cache_conformance::{
    Clause, Factory, Outcome, RunOptions, Setup,
    fault::{Call, Corrupting, Defect, Flaky, Full, Hanging, Slow, Tear, Torn, When},
};
use cache_core::{ErrorKind, Result, RetryOptions, Retrying, Store};

use crate::sample::correct;

type Inner = Arc<dyn Store>;
type Wrap = fn(Inner) -> Arc<dyn Store>;

/// Opens a correct store with something around it.
struct Around(Wrap);

#[async_trait]
impl Factory for Around {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        correct(setup).await.map(self.0)
    }
}

macro_rules! passes {
    ($($name:ident: $around:expr,)*) => {
        $(mod $name {
            use super::*;
            cache_conformance::suite! { Around($around) }
        })*
    };
}

passes! {
    flaky_unarmed: |store| Arc::new(Flaky::new(store)),
    slow_unarmed: |store| Arc::new(Slow::new(store).with_slow_pieces()),
    hanging_unarmed: |store| Arc::new(Hanging::new(store)),
    hanging_replies_unarmed: |store| Arc::new(Hanging::new(store).with_held_replies()),
    torn_unarmed: |store| Arc::new(Torn::new(store)),
    corrupting_unarmed: |store| Arc::new(Corrupting::new(store)),
    full_unarmed: |store| Arc::new(Full::new(store)),
    // Armed, and the contract is kept all the same.
    slow: |store| {
        let half = Duration::from_micros(100);
        Arc::new(Slow::new(store).with_delay(half).with_jitter(half))
    },
    full_with_room: |store| Arc::new(Full::new(store).with_room(1 << 40)),
    flaky_behind_retries: |store| {
        let flaky = Flaky::new(store).with_only(Call::REPEATABLE).with_faults(When::Chance(0.5));
        let patient = RetryOptions::default().with_attempts(1000).with_first_delay(Duration::ZERO);
        Arc::new(Retrying::new(flaky, patient))
    },
}

/// Which clause finds a fault.
const FOUND: &[(&str, Wrap)] = &[
    ("miss_is_none", |store| Arc::new(Flaky::new(store).with_faults(When::Nth(1)))),
    ("put_is_visible", |store| {
        Arc::new(Flaky::new(store).with_lost_replies().with_kind(ErrorKind::Denied).with_faults(When::Nth(1)))
    }),
    ("flush_tells_durability", |store| {
        Arc::new(Flaky::new(store).with_only(&[Call::Flush]).with_faults(When::Every(1)))
    }),
    ("streamed_put_round_trips", |store| Arc::new(Torn::new(store).with_faults(When::Every(2)))),
    ("get_entry_reads_all_blobs", |store| {
        Arc::new(Torn::new(store).with_tear(Tear::LosesBlobs(1)).with_faults(When::Every(1)))
    }),
    ("streamed_put_round_trips", |store| {
        Arc::new(Torn::new(store).with_tear(Tear::CutsShort(3)).with_faults(When::Every(1)))
    }),
    ("put_is_visible", |store| Arc::new(Corrupting::new(store).with_faults(When::Every(1)))),
    ("streamed_get_equals_bytes", |store| {
        Arc::new(Corrupting::new(store).with_defect(Defect::Truncation).with_faults(When::Every(2)))
    }),
    ("namespaces_do_not_collide", |store| {
        Arc::new(Corrupting::new(store).with_defect(Defect::OtherEntry).with_faults(When::Every(1)))
    }),
    ("large_blob_round_trips", |store| Arc::new(Full::new(store).with_room(1 << 20))),
];

#[test]
fn suite_finds_each_fault() {
    for (number, (id, around)) in FOUND.iter().enumerate() {
        let outcome = Clause::named(id).unwrap().run(Around(*around));
        assert!(matches!(outcome, Outcome::Failed(_)), "fault {number} under {id}: {outcome}");
    }
}

#[test]
fn suite_does_not_wait_for_a_store_that_hangs() {
    let hangs = Around(|store| {
        let hanging = Hanging::new(store);
        hanging.hang();
        Arc::new(hanging)
    });
    let limit = Duration::from_millis(200);
    assert_eq!(
        Clause::named("miss_is_none").unwrap().run_with(hangs, RunOptions::default().with_limit(limit)),
        Outcome::TimedOut(limit)
    );
}
