//! Who takes part in what is done to a bucket.

use crate::{
    failure::Result,
    harness::rounds::Kind,
    subject::buckets::{Entries, ours},
};

/// A `Cache` over a store in a bucket: what targets are held against.
pub(crate) const OURS: &str = "Cache";
/// The store alone, as an `Arc<dyn Store>`.
pub(crate) const STORE: &str = "Store";
/// The same requests by hand: bytes without checksums, names or times.
pub(crate) const RAW: &str = "raw object_store";

/// What is done with each that takes part. It is made by the runtime that this thread has entered.
pub(crate) trait Visitor {
    fn visit<S: Entries>(&mut self, name: &str, kind: Kind, make: impl FnOnce() -> Result<S>) -> Result<()>;
}

/// All, each with objects of its own in the bucket of one server.
pub(crate) fn all(endpoint: &str, visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, || ours::cache(endpoint))?;
    visitor.visit(STORE, Kind::Ours, || ours::store(endpoint))?;
    #[cfg(feature = "rivals")]
    {
        use crate::subject::buckets::{object_store::Raw, opendal::OpendalS3};

        visitor.visit(RAW, Kind::Baseline, || Raw::open(endpoint))?;
        visitor.visit("opendal s3", Kind::Rival, || OpendalS3::open(endpoint))?;
    }
    Ok(())
}
