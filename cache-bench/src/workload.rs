//! What is asked of the contenders. The same seed makes the same work on every machine.

pub(crate) mod keys;
pub(crate) mod trace;
pub(crate) mod zipf;
