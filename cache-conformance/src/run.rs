use std::{any::Any, fmt, sync::Arc, time::Duration};

use tokio::{
    runtime::Builder,
    time::{error::Elapsed, timeout},
};

use crate::{Clause, Factory};

/// What became of a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The store keeps it.
    Passed,
    /// The store breaks it: what was found.
    Failed(String),
    /// The store did not answer in time.
    TimedOut(Duration),
}

impl Outcome {
    /// Whether the store keeps the clause.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        *self == Self::Passed
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(found) => write!(f, "failed: {found}"),
            Self::TimedOut(limit) => write!(f, "no answer within {limit:?}"),
        }
    }
}

impl Clause {
    /// How long a clause may take.
    pub const LIMIT: Duration = Duration::from_secs(60);

    /// How long its runtime may take to wind down.
    const WIND_DOWN: Duration = Duration::from_secs(5);

    /// The clause with this name.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        crate::CLAUSES.iter().find(|clause| clause.id == id)
    }

    /// Tries the clause on a store of `factory`, on a tokio runtime of its own with two workers. Blocks;
    /// call it outside any runtime.
    #[must_use]
    pub fn run(&self, factory: impl Factory) -> Outcome {
        self.run_within(factory, Self::LIMIT)
    }

    /// [`run`](Self::run) with another limit than [`LIMIT`](Self::LIMIT).
    #[must_use]
    pub fn run_within(&self, factory: impl Factory, limit: Duration) -> Outcome {
        // Held here, so that a temporary directory outlives all that the runtime still does in it.
        let factory: Arc<dyn Factory> = Arc::new(factory);
        let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Outcome::Failed(format!("no runtime: {error}")),
        };
        let (check, subject) = (self.check, factory.clone());
        // On a worker, so that a store that blocks its thread is noticed, too.
        let clause = runtime.spawn(async move { check(&*subject).await });
        let outcome = match runtime.block_on(async { timeout(limit, clause).await }) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(error)) => Outcome::Failed(match error.try_into_panic() {
                Ok(panic) => text_of(&*panic),
                Err(error) => error.to_string(),
            }),
            Err(Elapsed { .. }) => Outcome::TimedOut(limit),
        };
        runtime.shutdown_timeout(Self::WIND_DOWN);
        drop(factory);
        outcome
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

/// The body of the tests that [`suite!`](crate::suite) writes.
#[doc(hidden)]
#[track_caller]
pub fn assert_passes(id: &str, factory: impl Factory) {
    let outcome = Clause::named(id).map(|clause| (clause.requirement, clause.run(factory)));
    assert!(
        matches!(outcome, Some((_, Outcome::Passed))),
        "{id}: {}",
        outcome.map_or_else(
            || "no such clause".to_owned(),
            |(requirement, outcome)| format!("{outcome}\nrequired: {requirement}")
        )
    );
}
