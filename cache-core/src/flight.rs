//! Single-flight: calls that ask for the same thing at the same time share one piece of work.
//!
//! `machine` is the state of one flight and knows nothing of caches; `table` says which flights a key
//! has and which of them a write has overtaken; `waits` knows which flight waits for which.

mod machine;
mod outcome;
mod table;
mod waits;

/// What the machine is built from, so that the model checker can put its own in place.
mod sync {
    pub(super) use std::sync::{Mutex, MutexGuard, PoisonError};
}

pub(crate) use {
    machine::{Flight, Ticket},
    outcome::{Computed, ComputedBytes, Found, FoundBlob, Put, PutContent},
    table::{Boarded, Entered, Flights, PutEntered, WriteGuard},
    waits::{Computation, WaitGuard},
};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
