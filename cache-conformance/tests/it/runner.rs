use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cache_conformance::{Clause, Factory, Outcome, Setup};
use cache_core::{Error, ErrorKind, Result, Store};

/// Opens nothing, at once or ever.
struct Closed {
    hangs: bool,
}

#[async_trait]
impl Factory for Closed {
    async fn open(&self, _setup: &Setup) -> Result<Arc<dyn Store>> {
        if self.hangs {
            std::thread::sleep(Duration::from_secs(1));
        }
        Err(Error::new(ErrorKind::Unavailable, "toy", "open"))
    }
}

#[test]
fn store_that_does_not_open_fails_and_says_why() {
    let clause = Clause::named("miss_is_none").unwrap();
    let Outcome::Failed(found) = clause.run(Closed { hangs: false }) else { panic!("it passed") };
    assert!(found.contains("toy: open: backend unavailable"), "{found}");
}

#[test]
fn store_that_blocks_its_thread_times_out() {
    let limit = Duration::from_millis(50);
    let outcome = Clause::named("miss_is_none").unwrap().run_within(Closed { hangs: true }, limit);
    assert_eq!(outcome, Outcome::TimedOut(limit));
}

#[test]
#[should_panic(expected = "An absent entry reads as `Ok(None)`, everywhere.")]
fn failed_test_tells_the_requirement() {
    cache_conformance::assert_passes("miss_is_none", Closed { hangs: false });
}

#[test]
#[should_panic(expected = "no such clause")]
fn unknown_clause_is_no_success() {
    cache_conformance::assert_passes("misses_are_fun", Closed { hangs: false });
}
