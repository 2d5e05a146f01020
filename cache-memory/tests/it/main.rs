//! The memory store against the conformance suite, bare and decorated, and what only it promises.

mod conformance;
mod sharing;
