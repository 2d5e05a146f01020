//! Stores that break on purpose: to test what is built on a store, not the store.
//!
//! Each goes around a store that works, and passes everything on until it is armed: unarmed, the whole
//! suite passes over it. `with_…` arms it when it is made; `arm`, `hang`, `set_…` and `release` do while it
//! is in use. Clones share everything, so that a test keeps one and hands the other one out.
//!
//! | You want to test that                                                | Use                                            |
//! |----------------------------------------------------------------------|------------------------------------------------|
//! | a call that fails is passed over, tried again or reported            | [`Flaky`]                                      |
//! | an operation whose reply is lost can be made again                   | [`Flaky::with_lost_replies`]                   |
//! | a flush that fails is not taken for durable                          | [`Flaky::with_only`] `(&[Call::Flush])`        |
//! | callers wait no longer than their deadline                           | [`Hanging`]                                    |
//! | something may happen between a read and its answer                   | [`Hanging::with_held_replies`]                 |
//! | calls really run side by side, and races stay harmless               | [`Slow`]                                       |
//! | a body that trickles holds up nobody else                            | [`Slow::with_slow_pieces`]                     |
//! | an upload that breaks off leaves the older value                     | [`Torn`], [`Tear::BreaksOff`]                  |
//! | an entry that lacks a part, although its put succeeded, does no harm | [`Torn`], [`Tear::LosesBlobs`], [`Tear::CutsShort`] |
//! | wrong bytes are found before they are used                           | [`Corrupting`]                                 |
//! | a full disk costs nothing but the cache                              | [`Full`]                                       |
//!
//! **In a stack** a fault stands where it would arise: directly around the store that it stands for, inside
//! the decorator that is to cope with it. So `Retrying(Flaky(store))`, `Deadline(Hanging(store))`,
//! `Verified(Corrupting(store))`; around a decorator, a fault tests what is outside of that one.
//! `Metered(Flaky(store))` counts what fails; `Flaky(Metered(store))` counts what comes through. In tiers,
//! each tier has faults of its own. Several faults nest: a call meets the outermost first.
//!
//! **What they tell.** `info` and `metrics` are those of the store inside: what never reaches it is not in
//! its counters, and each fault has counts of its own. Errors name the fault as their store (`flaky`,
//! `torn`, `full`) and say that it is armed. `get_now` cannot fail or wait: where its `get` might,
//! it answers `None`.
//!
//! **Seeds.** What is drawn comes from a seed, 0 by default. The same seed and the same calls in the same
//! order give the same faults; of calls that run side by side, which one is hit depends on which is
//! counted first.
//!
//! A service that outlives a store which does not answer:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use cache_conformance::{Reference, Setup, fault::Hanging};
//! use cache_core::{Cache, Deadline, Digest, ErrorKind};
//!
//! # #[tokio::main]
//! # async fn main() -> cache_core::Result<()> {
//! let remote = Hanging::new(Reference::volatile().store(&Setup::default())?);
//! let cache = Cache::new(Arc::new(Deadline::new(remote.clone(), Duration::from_millis(50))));
//! let digest = Digest::of("the inputs");
//! cache.put(digest, "the output").await?;
//!
//! remote.hang();
//! assert_eq!(cache.get(digest).await.unwrap_err().kind(), ErrorKind::Timeout);
//! let computed = cache.get_or_compute(digest, || async { Ok::<_, std::io::Error>("computed again") });
//! assert_eq!(computed.await?, "computed again");
//!
//! remote.release();
//! assert_eq!(cache.get(digest).await?.unwrap(), "the output");
//! # Ok(())
//! # }
//! ```

mod call;
mod corrupting;
mod flaky;
mod full;
mod hanging;
mod inject;
mod slow;
mod stream;
mod torn;
mod when;

pub(crate) use self::stream::restream;
pub use {
    call::Call,
    corrupting::{Corrupting, Defect},
    flaky::Flaky,
    full::Full,
    hanging::Hanging,
    slow::Slow,
    torn::{Tear, Torn},
    when::When,
};
