//! What applications hold.

mod clear;
pub(crate) mod coded;
mod compute;
mod entry;
mod gate;
mod get;
mod handle;
#[cfg(test)]
mod probe;
mod read;
mod shared_work;
mod typed;
mod upkeep;
mod write;

pub(crate) use shared_work::panic_message;
pub(crate) use {
    compute::{Accept, Wanted},
    gate::Permit,
};
pub use {
    entry::EntryHandle,
    gate::{ComputeLimits, ComputeOptions},
    handle::Cache,
    typed::TypedCache,
};
