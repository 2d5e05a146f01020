//! The code in `docs/writing-a-backend.md`, compiled and run as it stands there.
//!
//! The page is followed by machine: its blocks, put together as it says, are the files beside this one. It is no
//! part of the published crate, so neither is this test.

extern crate self as cache_shelf;

#[expect(unreachable_pub, reason = "in the page it is a crate of its own")]
mod finished;
mod it;
#[cfg(test)]
mod page;
#[expect(dead_code, unreachable_pub, unused_imports, reason = "the page fills it in step by step")]
mod skeleton;

use finished::Shelf;
