//! Who takes part in what is done to databases.

use redb::Durability;

use crate::{
    failure::Result,
    harness::rounds::Kind,
    subject::{
        databases::{
            group::GroupCommit,
            ours,
            raw::{Hop, Inline, RawRedb, Reused},
        },
        files::{self, lineup::FlushVisitor},
    },
};

/// A `Cache` over our store in a database: what targets are held against.
pub(crate) const OURS: &str = "Cache";
/// The store alone, as an `Arc<dyn Store>`.
pub(crate) const STORE: &str = "Store";
/// A `Cache` over our store in a directory.
pub(crate) const DISK: &str = "Cache over disk";
/// The database that ours lies in, and nothing around it.
pub(crate) const RAW: &str = "raw redb";
pub(crate) const REUSED: &str = "raw redb, one transaction";
pub(crate) const HOP: &str = "raw redb, one hop";
pub(crate) const GROUP: &str = "raw redb, group commit";
pub(crate) const EACH: &str = "raw redb, each durable";
pub(crate) const DURABLE: &str = "Cache, durable_puts";
pub(crate) const DURABLE_GROUP: &str = "raw redb, durable groups";
#[cfg(feature = "rivals")]
pub(crate) const FJALL: &str = "fjall";

/// All that get.
pub(crate) fn gets(visitor: &mut impl FlushVisitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, ours::cache)?;
    visitor.visit(STORE, Kind::Ours, ours::store)?;
    visitor.visit(DISK, Kind::Ours, files::ours::cache)?;
    visitor.visit(RAW, Kind::Baseline, |dir| Ok(Inline(RawRedb::open(dir)?)))?;
    visitor.visit(REUSED, Kind::Baseline, |dir| Ok(Reused::new(RawRedb::open(dir)?)))?;
    visitor.visit(HOP, Kind::Baseline, |dir| Ok(Hop(RawRedb::open(dir)?, Durability::None)))?;
    fjall(visitor)
}

/// All whose puts are visible when they return.
pub(crate) fn puts(visitor: &mut impl FlushVisitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, ours::cache)?;
    visitor.visit(STORE, Kind::Ours, ours::store)?;
    visitor.visit(DISK, Kind::Ours, files::ours::cache)?;
    let group = |dir: &_| Ok(GroupCommit::new(RawRedb::open(dir)?, Durability::None));
    visitor.visit(GROUP, Kind::Baseline, group)?;
    fjall(visitor)
}

/// All whose puts are durable when they return.
pub(crate) fn durable_puts(visitor: &mut impl FlushVisitor) -> Result<()> {
    visitor.visit(DURABLE, Kind::Ours, ours::durable)?;
    let group = |dir: &_| Ok(GroupCommit::new(RawRedb::open(dir)?, Durability::Immediate));
    visitor.visit(DURABLE_GROUP, Kind::Baseline, group)
}

/// One durable transaction for each put.
pub(crate) fn each_durable(visitor: &mut impl FlushVisitor) -> Result<()> {
    visitor.visit(EACH, Kind::Baseline, |dir| Ok(Hop(RawRedb::open(dir)?, Durability::Immediate)))
}

/// The database of others.
#[cfg_attr(not(feature = "rivals"), expect(unused_variables, reason = "there is none without it"))]
pub(crate) fn fjall(visitor: &mut impl FlushVisitor) -> Result<()> {
    #[cfg(feature = "rivals")]
    visitor.visit(FJALL, Kind::Rival, crate::subject::databases::fjall::Fjall::open)?;
    Ok(())
}
