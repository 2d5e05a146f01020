use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;

/// Which of the calls, puts or reads that a fault counts it befalls.
///
/// They are counted from 1, anew each time that a fault is armed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// None: the fault is not armed.
    #[default]
    Never,
    /// This one, and none after it.
    Nth(u64),
    /// Each whose number this divides: all of them for 1, every other one for 2.
    Every(u64),
    /// Each with this probability, from 0 to 1, drawn from the seed.
    Chance(f64),
}

/// Counts, and says which ones are to go wrong.
#[derive(Debug)]
pub(crate) struct Schedule(Mutex<State>);

#[derive(Debug)]
struct State {
    when: When,
    /// Counted since it was armed.
    number: u64,
    counted: u64,
    struck: u64,
    random: Rng,
}

impl Default for Schedule {
    fn default() -> Self {
        let random = Rng::with_seed(0);
        Self(Mutex::new(State { when: When::Never, number: 0, counted: 0, struck: 0, random }))
    }
}

impl Schedule {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arm(&self, when: When) {
        let mut state = self.state();
        (state.when, state.number) = (when, 0);
    }

    pub(crate) fn seed(&self, seed: u64) {
        self.state().random = Rng::with_seed(seed);
    }

    /// Whether any of the next ones can go wrong.
    pub(crate) fn is_armed(&self) -> bool {
        let state = self.state();
        match state.when {
            When::Never => false,
            When::Nth(nth) => state.number < nth,
            When::Every(_) | When::Chance(_) => true,
        }
    }

    /// Counts one more, and whether it goes wrong.
    pub(crate) fn strikes(&self) -> bool {
        let mut state = self.state();
        (state.counted, state.number) = (state.counted + 1, state.number + 1);
        let strikes = match state.when {
            When::Never => false,
            When::Nth(nth) => state.number == nth,
            When::Every(every) => state.number.is_multiple_of(every),
            When::Chance(chance) => state.random.f64() < chance,
        };
        state.struck += u64::from(strikes);
        strikes
    }

    /// How many were counted so far.
    pub(crate) fn counted(&self) -> u64 {
        self.state().counted
    }

    /// How many of them went wrong.
    pub(crate) fn struck(&self) -> u64 {
        self.state().struck
    }

    /// A number below `end`, which is at least 1, from the seed.
    pub(crate) fn draw(&self, end: u64) -> u64 {
        self.state().random.u64(..end)
    }
}
