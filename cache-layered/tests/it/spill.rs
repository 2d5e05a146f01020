//! What a faster tier evicts is kept by the one below it.
//!
//! The stacks are built over any source: a new one is a function, and one more line in `each_source!`.

mod behaviour;
mod conformance;
mod model;
mod policy;
mod races;

use std::sync::Arc;

use cache_conformance::{Reference, Setup};
use cache_core::{Powers, Result, SpillSource, Store};
use cache_layered::{LayeredBuilder, LayeredStore, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};

/// Opens a tier that hands on what it evicts.
pub(crate) type OpenSource = fn(&Setup) -> Result<Arc<dyn SpillSource>>;

pub(crate) fn reference(setup: &Setup) -> Result<Arc<dyn SpillSource>> {
    let mut powers = Reference::volatile().powers();
    powers.spills = true;
    Ok(Arc::new(Reference::with_powers(powers).store(setup)?))
}

pub(crate) fn memory(setup: &Setup) -> Result<Arc<dyn SpillSource>> {
    let options = MemoryOptions::unlimited().with_max_bytes(setup.max_bytes);
    Ok(Arc::new(MemoryStore::open(options.with_max_blob_bytes(setup.max_blob_bytes))?))
}

/// Does something over each source.
macro_rules! each_source {
    ($then:ident! { $($what:tt)* }) => {
        $then! { reference $($what)* }
        $then! { memory $($what)* }
    };
}
pub(crate) use each_source;

/// Runs each test of a module over each source.
macro_rules! sources {
    ($($test:ident)*) => {
        crate::spill::each_source! { tests! { $($test)* } }
    };
}
pub(crate) use sources;

macro_rules! tests {
    ($source:ident $($test:ident)*) => {
        mod $source {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(crate::spill::$source).await;
                }
            )*
        }
    };
}
pub(crate) use tests;

/// A place that survives the process and is one process's own.
pub(crate) fn durable() -> Reference {
    let mut powers = Powers::default();
    (powers.durable, powers.bounded, powers.recency) = (true, true, true);
    (powers.dated, powers.shared_bytes, powers.streaming) = (true, true, true);
    Reference::with_powers(powers)
}

pub(crate) fn builder(source: Arc<dyn SpillSource>, below: Arc<dyn Store>) -> LayeredBuilder {
    let builder = LayeredStore::builder().spilling_tier("memory", source);
    builder.tier("below", below).write(WritePolicy::Spill)
}

pub(crate) fn stack(source: &Arc<dyn SpillSource>, below: impl Store) -> LayeredStore {
    builder(Arc::clone(source), Arc::new(below)).build().unwrap()
}

pub(crate) fn limited(bytes: u64) -> Setup {
    Setup::default().with_max_bytes(bytes)
}
