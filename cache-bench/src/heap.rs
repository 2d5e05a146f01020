//! What is asked in a process that counts what it allocates. Counting takes time, so nothing is timed there.

mod database;
mod hit;
mod peak;
mod program;
mod stream;

pub use program::{HeapCounters, HeapQuestion, answer};
pub(crate) use {
    peak::{PEAKS, Peak},
    program::{ask, names},
};
