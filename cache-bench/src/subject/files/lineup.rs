//! Who takes part in what is done to files.

use std::path::Path;

use crate::{
    failure::Result,
    harness::rounds::Kind,
    subject::{
        Subject,
        files::{
            Flushes, ours,
            raw::{Hop, Inline, RawFiles},
        },
    },
};

/// A `Cache` over a disk store: what targets are held against.
pub(crate) const OURS: &str = "Cache";
/// The store alone, as an `Arc<dyn Store>`.
pub(crate) const STORE: &str = "Store";
/// The least system calls, on the thread that asks.
pub(crate) const RAW: &str = "raw files, inline";
/// The same on a blocking thread.
pub(crate) const HOP: &str = "raw files, one hop";
pub(crate) const OBJECT_STORE: &str = "object_store local";
pub(crate) const CACACHE: &str = "cacache";

/// What is done with each that takes part. It is made in a new directory.
pub(crate) trait Visitor {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()>;
}

/// What is done with each that can make puts durable.
pub(crate) trait FlushVisitor {
    fn visit<S: Flushes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl FnOnce(&Path) -> Result<S>,
    ) -> Result<()>;
}

/// All that get and put.
pub(crate) fn all(visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, ours::cache)?;
    visitor.visit(STORE, Kind::Ours, ours::store)?;
    visitor.visit(RAW, Kind::Baseline, |dir| Ok(Inline(RawFiles::open(dir)?)))?;
    visitor.visit(HOP, Kind::Baseline, |dir| Ok(Hop(RawFiles::open(dir)?.into())))?;
    #[cfg(feature = "rivals")]
    {
        use crate::subject::files::{cacache::Cacache, object_store::local, opendal};

        visitor.visit(OBJECT_STORE, Kind::Rival, |dir| local(dir, false))?;
        visitor.visit("opendal fs", Kind::Rival, opendal::open)?;
        visitor.visit(CACACHE, Kind::Rival, |dir| Ok(Cacache(dir.to_owned())))?;
    }
    Ok(())
}

/// Those whose puts are durable in the end.
pub(crate) fn durable(visitor: &mut impl FlushVisitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, ours::cache)?;
    visitor.visit(STORE, Kind::Ours, ours::store)?;
    visitor.visit(RAW, Kind::Baseline, |dir| Ok(Inline(RawFiles::open(dir)?)))?;
    visitor.visit(HOP, Kind::Baseline, |dir| Ok(Hop(RawFiles::open(dir)?.into())))?;
    #[cfg(feature = "rivals")]
    {
        use crate::subject::files::{object_store::local, opendal};

        visitor.visit("object_store local, fsync", Kind::Rival, |dir| local(dir, true))?;
        visitor.visit("opendal fs", Kind::Rival, opendal::open)?;
    }
    Ok(())
}
