//! The memory store against the conformance suite, bare and decorated, and what only it promises.

mod compressed;
mod conformance;
mod copy;
mod crowd;
mod decorated;
mod durable;
mod handover;
mod hooked;
mod piecemeal;
mod policy;
mod sharing;
