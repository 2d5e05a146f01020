use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{CLAUSES, Clause, ClauseReport, Factory, Outcome, Report, RunOptions, run::text_of};

/// Runs clauses side by side and reports on all of them.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use cache_conformance::{Reference, Runner};
///
/// let report = Runner::default().only("keys").expect("a group").run(
///     "reference",
///     |_| Reference::default(), // a fresh one for each clause
///     |done| {
///         println!("{}: {:?}", done.id, done.outcome);
///         ControlFlow::Continue(())
///     },
/// );
/// assert!(report.is_success(), "{report}");
/// ```
#[derive(Clone, Debug)]
pub struct Runner {
    /// Empty for all.
    chosen: Vec<&'static Clause>,
    options: RunOptions,
    jobs: NonZeroUsize,
}

impl Default for Runner {
    fn default() -> Self {
        Self { chosen: Vec::new(), options: RunOptions::default(), jobs: Self::JOBS }
    }
}

impl Runner {
    /// How many clauses run at the same time by default.
    pub const JOBS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    /// Runs only this clause, or the clauses of this group, and what else is chosen like this.
    ///
    /// `None` if there is neither.
    #[must_use]
    pub fn only(mut self, name: &str) -> Option<Self> {
        let before = self.chosen.len();
        let named = CLAUSES.iter().filter(|clause| clause.id == name || clause.group == name);
        self.chosen.extend(named);
        (self.chosen.len() > before).then_some(self)
    }

    /// Sets how each clause is tried.
    #[must_use]
    pub fn with_options(mut self, options: RunOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets how many clauses run at the same time. Each takes a thread, and two for its store.
    #[must_use]
    pub fn with_jobs(mut self, jobs: NonZeroUsize) -> Self {
        self.jobs = jobs;
        self
    }

    /// The clauses that it runs, in the order of [`CLAUSES`], each once.
    pub fn clauses(&self) -> impl Iterator<Item = &'static Clause> {
        let chosen = |clause: &&Clause| {
            self.chosen.is_empty() || self.chosen.iter().any(|chosen| chosen.id == clause.id)
        };
        CLAUSES.iter().filter(chosen)
    }

    /// Runs the clauses, each over a factory that `fresh` makes for it, and blocks until all are done; call
    /// it outside any runtime.
    ///
    /// `done` is told of each clause when it, its store and its factory are gone. After it answers
    /// [`Break`](ControlFlow::Break) no clause begins; those that are left are reported as not run.
    pub fn run<F: Factory>(
        &self,
        store: &str,
        fresh: impl Fn(&'static Clause) -> F + Sync,
        done: impl Fn(&ClauseReport) -> ControlFlow<()> + Sync,
    ) -> Report {
        let clauses: Vec<_> = self.clauses().collect();
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let reports = Mutex::new(BTreeMap::new());
        let work = || {
            while !stopped.load(Ordering::SeqCst) {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let Some(clause) = clauses.get(number) else { return };
                // What panics outside of the clause, such as a factory that is made, fails that clause alone.
                let tried = AssertUnwindSafe(|| clause.run_with(fresh(clause), self.options));
                let outcome = catch_unwind(tried).unwrap_or_else(|panic| Outcome::Failed(text_of(&*panic)));
                let report = ClauseReport::new(clause, &outcome);
                if done(&report).is_break() {
                    stopped.store(true, Ordering::SeqCst);
                }
                reports.lock().unwrap_or_else(PoisonError::into_inner).insert(number, report);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.get().min(clauses.len()) {
                scope.spawn(work);
            }
        });
        let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        let stopped = Outcome::NotRun("the run was stopped before".to_owned());
        let reports = clauses.iter().enumerate().map(|(number, clause)| {
            reports.remove(&number).unwrap_or_else(|| ClauseReport::new(clause, &stopped))
        });
        Report::new(store, reports.collect())
    }
}
