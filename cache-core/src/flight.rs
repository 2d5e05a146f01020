//! Single-flight: calls that ask for the same thing at the same time share one piece of work.
//!
//! `machine` is one flight and knows nothing of caches, `state` what is under its lock, `wakers` who of its
//! callers sleeps; `table` and `slot` say which flights a key has and which of them a write has overtaken; `waits` knows which
//! computation waits for which.

mod key_hash;
mod machine;
mod outcome;
mod slot;
mod state;
mod table;
mod waits;
mod wakers;

/// What the machine is built from, so that the model checker can put its own in place.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

pub(crate) use {
    machine::{Flight, Ticket},
    outcome::{Computed, ComputedBytes, Found, FoundBlob, Put, PutContent},
    slot::{Ahead, Boarded},
    table::{Entered, Flights, PutEntered, WriteGuard},
    waits::{Computation, Sponsor, WaitGuard},
};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
