use std::{any::Any, fmt, sync::Arc, time::Duration};

use tokio::{
    runtime::Builder,
    task_local,
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
    /// It could not be tried: why not.
    NotRun(String),
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
            Self::NotRun(reason) => write!(f, "not run: {reason}"),
        }
    }
}

/// How clauses are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOptions {
    /// How long a clause may take; five minutes by default.
    pub limit: Duration,
    /// Where random operations begin; by default somewhere else each time. What fails tells its seed.
    pub seed: Option<u64>,
    /// How many sequences of random operations are tried; at least one is.
    pub cases: u32,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { limit: Clause::LIMIT, seed: None, cases: 24 }
    }
}

impl RunOptions {
    /// The variable of the environment that gives tests their seed.
    pub const SEED: &str = "CACHE_CONFORMANCE_SEED";

    /// The variable of the environment that gives tests the number of sequences of random operations.
    pub const CASES: &str = "CACHE_CONFORMANCE_CASES";

    /// Sets how long a clause may take.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Begins random operations at a seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets how many sequences of random operations are tried.
    #[must_use]
    pub fn with_cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// For how long random sequences are begun: on a store that is slow, the first ones have to be enough.
    pub(crate) fn for_random(self) -> Duration {
        (self.limit / 30).saturating_mul(self.cases.div_ceil(Self::default().cases)).min(self.limit / 3)
    }

    /// What the environment of a test asks for.
    fn from_environment() -> Result<Self, String> {
        let mut options = Self::default();
        options.seed = number(Self::SEED)?;
        options.cases = number(Self::CASES)?.unwrap_or(options.cases);
        Ok(options)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment only")]
fn number<T: std::str::FromStr>(variable: &str) -> Result<Option<T>, String> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| format!("{variable}={text} is not a number"))
}

task_local! {
    static OPTIONS: RunOptions;
}

/// How the clause that runs now is tried.
pub(crate) fn options() -> RunOptions {
    OPTIONS.try_get().unwrap_or_default()
}

impl Clause {
    /// How long a clause may take: many times what one needs, as machines may be busy.
    pub const LIMIT: Duration = Duration::from_secs(300);

    /// The name of the threads that a clause runs on, its store's too: a clause fails by panicking there.
    pub const THREAD_NAME: &str = "clause";

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
        self.run_with(factory, RunOptions::default())
    }

    /// [`run`](Self::run) in another way.
    #[must_use]
    pub fn run_with(&self, factory: impl Factory, mut options: RunOptions) -> Outcome {
        options.cases = options.cases.max(1);
        // Held here, so that a temporary directory outlives all that the runtime still does in it.
        let factory: Arc<dyn Factory> = Arc::new(factory);
        if let Some(handle) = self.needs.filter(|handle| !factory.has(*handle)) {
            return Outcome::NotRun(handle.reason().to_owned());
        }
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).thread_name(Self::THREAD_NAME).enable_all();
        let runtime = match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => return Outcome::NotRun(format!("no runtime: {error}")),
        };
        let (check, subject) = (self.check, factory.clone());
        // On a worker, so that a store that blocks its thread is noticed, too.
        let clause = runtime.spawn(OPTIONS.scope(options, async move { check(&*subject).await }));
        let outcome = match runtime.block_on(async { timeout(options.limit, clause).await }) {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(error)) => Outcome::Failed(match error.try_into_panic() {
                Ok(panic) => text_of(&*panic),
                Err(error) => error.to_string(),
            }),
            Err(Elapsed { .. }) => Outcome::TimedOut(options.limit),
        };
        runtime.shutdown_timeout(Self::WIND_DOWN);
        drop(factory);
        outcome
    }
}

pub(crate) fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

/// The body of the tests that [`suite!`](crate::suite) writes.
#[doc(hidden)]
#[track_caller]
pub fn assert_passes(id: &str, factory: impl Factory) {
    let broken = match (Clause::named(id), RunOptions::from_environment()) {
        (Some(clause), Ok(options)) => match clause.run_with(factory, options) {
            Outcome::Passed => None,
            outcome => Some(format!("{outcome}\nrequired: {}", clause.requirement)),
        },
        (None, _) => Some("no such clause".to_owned()),
        (_, Err(wrong)) => Some(wrong),
    };
    assert!(broken.is_none(), "{id}: {}", broken.unwrap_or_default());
}
