//! The disk store against the conformance suite, and what only it promises.

mod conformance;
mod damage;
mod directory;
mod processes;
