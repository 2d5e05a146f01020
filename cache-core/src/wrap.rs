//! Decorators: stores around a store.

mod deadline;

pub use deadline::Deadline;
