//! Decorators: stores around a store.

#[cfg(feature = "zstd")]
mod compressed;
mod deadline;
mod hooked;
mod metered;
#[cfg(test)]
pub(crate) mod probe;
mod read_only;
mod retrying;
mod verified;

#[cfg(feature = "zstd")]
pub use compressed::{CompressOptions, Compressed};
pub use {
    deadline::Deadline,
    hooked::Hooked,
    metered::Metered,
    read_only::ReadOnly,
    retrying::{RetryOptions, Retrying},
    verified::Verified,
};
