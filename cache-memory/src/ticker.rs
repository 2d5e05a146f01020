//! A clock that hits read without asking the machine: a thread moves it, while there are hits.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use cache_core::{Clock, SystemClock};

use crate::clock::nanos;

const TICK: Duration = Duration::from_millis(4);
/// After so many ticks without a hit the clock stands still, and the next hit reads the machine's.
const IDLE_TICKS: u32 = 25;

/// One clock for all stores of the process.
static TICKER: Ticker = Ticker::new();

#[derive(Debug)]
struct Ticker {
    /// The time of the last tick, in nanoseconds since 1970; 0 while it stands still.
    last: AtomicU64,
    /// Since the last tick.
    asked: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    stores: usize,
    /// There is a thread.
    runs: bool,
}

/// A store's share in the clock. With the last one its thread ends.
#[derive(Debug)]
pub(crate) struct Ticks(&'static Ticker);

impl Ticks {
    pub(crate) fn new() -> Self {
        Self::of(&TICKER)
    }

    fn of(ticker: &'static Ticker) -> Self {
        ticker.state().stores += 1;
        Self(ticker)
    }

    /// The time of the last tick, in nanoseconds since 1970; `None` if it stands still.
    #[inline]
    pub(crate) fn last(&self) -> Option<u64> {
        let last = self.0.last.load(Relaxed);
        // Written once a tick: what all threads only read costs none of them anything.
        if !self.0.asked.load(Relaxed) {
            self.0.asked.store(true, Relaxed);
        }
        (last != 0).then_some(last)
    }

    /// Has the clock go on; answers the time.
    #[cold]
    pub(crate) fn start(&self) -> u64 {
        let ticker = self.0;
        let now = nanos(SystemClock.now());
        let mut state = ticker.state();
        ticker.asked.store(true, Relaxed);
        if !state.runs {
            // Without a thread every hit reads the machine's clock.
            let thread = thread::Builder::new().name("cache-clock".into()).spawn(move || ticker.run());
            state.runs = thread.is_ok();
        }
        if state.runs {
            ticker.last.store(now, Relaxed);
            ticker.changed.notify_all();
        }
        now
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.0.state().stores -= 1;
        self.0.changed.notify_all();
    }
}

impl Ticker {
    const fn new() -> Self {
        Self {
            last: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            state: Mutex::new(State { stores: 0, runs: false }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut idle = 0;
        let mut state = self.state();
        while state.stores > 0 {
            if self.last.load(Relaxed) == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                idle = 0;
                continue;
            }
            (state, _) = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner);
            idle = if self.asked.swap(false, Relaxed) { 0 } else { idle + 1 };
            let stands = idle > IDLE_TICKS;
            self.last.store(if stands { 0 } else { nanos(SystemClock.now()) }, Relaxed);
        }
        self.last.store(0, Relaxed);
        state.runs = false;
    }
}

#[cfg(test)]
mod tests;
