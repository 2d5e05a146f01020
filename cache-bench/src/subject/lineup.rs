//! Who takes part.

use cache_core::Cache;
use cache_memory::Policy;

use crate::{
    failure::Result,
    harness::rounds::Kind,
    subject::{
        Capacity, Computes, Subject,
        ours::{BareStore, memory},
        raw::ShardedMap,
    },
};

/// A `Cache` over a memory store of the default policy: what targets are held against.
pub(crate) const OURS: &str = "Cache";
/// The same store without a handle, asked by `get_now`.
pub(crate) const BARE: &str = "Store::get_now";
pub(crate) const QUICK_CACHE: &str = "quick_cache";
pub(crate) const MOKA_FUTURE: &str = "moka future";

/// What is done with each that takes part. It is made when it is needed, and as often.
pub(crate) trait Visitor {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()>;
}

/// What is done with each that can compute.
pub(crate) trait ComputeVisitor {
    fn visit<S: Computes>(
        &mut self,
        name: &str,
        kind: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()>;
}

/// A cache over a new memory store of the default policy.
pub(crate) fn cache(capacity: Capacity) -> Result<Cache> {
    Ok(Cache::new(memory(capacity, Policy::default())?))
}

/// Ours: through the handle and bare, by the default policy.
pub(crate) fn ours(capacity: Capacity, visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, move || cache(capacity))?;
    visitor.visit(BARE, Kind::Ours, move || Ok(BareStore(memory(capacity, Policy::default())?)))?;
    Ok(())
}

/// Ours with room for as many entries as the others keep in the same budget, which weigh nothing but values.
pub(crate) const AS_MANY: &str = "Cache, as many entries";

/// The handle with room for as many entries.
pub(crate) fn as_many(capacity: Capacity, visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit(AS_MANY, Kind::Ours, move || cache(Capacity::entries(capacity.entries)))
}

/// The handle over stores of the other policies that evict.
pub(crate) fn other_policies(capacity: Capacity, visitor: &mut impl Visitor) -> Result<()> {
    for policy in
        Policy::ALL.into_iter().filter(|policy| ![Policy::default(), Policy::Unbounded].contains(policy))
    {
        let name = format!("{OURS}, {policy}");
        visitor.visit(&name, Kind::Ours, move || Ok(Cache::new(memory(capacity, policy)?)))?;
    }
    Ok(())
}

/// What bounds nothing.
pub(crate) fn floors(visitor: &mut impl Visitor) -> Result<()> {
    visitor.visit("sharded map", Kind::Baseline, || Ok(ShardedMap::new()))?;
    Ok(())
}

/// Caches of others that keep a bound.
#[cfg(feature = "rivals")]
pub(crate) fn rivals(capacity: Capacity, visitor: &mut impl Visitor) -> Result<()> {
    use std::collections::hash_map::RandomState;

    use crate::subject::{foyer, moka, quick};

    visitor.visit(QUICK_CACHE, Kind::Rival, move || Ok(quick::quick_cache(capacity)))?;
    visitor.visit("moka sync", Kind::Rival, move || Ok(moka::blocking(capacity, RandomState::new())))?;
    visitor.visit(MOKA_FUTURE, Kind::Rival, move || Ok(moka::asynchronous(capacity, RandomState::new())))?;
    for (name, eviction) in foyer::POLICIES {
        visitor.visit(name, Kind::Rival, move || Ok(foyer::foyer(capacity, eviction())))?;
    }
    Ok(())
}

/// Variants and stores of others that are shown beside them.
#[cfg(feature = "rivals")]
pub(crate) fn more_rivals(capacity: Capacity, visitor: &mut impl Visitor) -> Result<()> {
    use object_store::memory::InMemory;

    use crate::subject::{digest_hash::DigestHash, moka, opendal};

    visitor.visit("moka future, digest hash", Kind::Rival, move || {
        Ok(moka::asynchronous(capacity, DigestHash))
    })?;
    visitor.visit("object_store InMemory", Kind::Rival, || Ok(InMemory::new()))?;
    visitor.visit("opendal Memory", Kind::Rival, opendal::memory)?;
    Ok(())
}

/// Those in which callers share a computation.
pub(crate) fn computing(capacity: Capacity, visitor: &mut impl ComputeVisitor) -> Result<()> {
    visitor.visit(OURS, Kind::Ours, move || cache(capacity))?;
    visitor.visit("map of OnceCell", Kind::Baseline, || Ok(crate::subject::cells::Cells::default()))?;
    #[cfg(feature = "rivals")]
    {
        use std::collections::hash_map::RandomState;

        use crate::subject::{foyer, moka, quick};

        visitor.visit(QUICK_CACHE, Kind::Rival, move || Ok(quick::quick_cache(capacity)))?;
        visitor
            .visit(MOKA_FUTURE, Kind::Rival, move || Ok(moka::asynchronous(capacity, RandomState::new())))?;
        for (name, eviction) in foyer::POLICIES.into_iter().take(1) {
            visitor.visit(name, Kind::Rival, move || Ok(foyer::foyer(capacity, eviction())))?;
        }
    }
    Ok(())
}

#[cfg(not(feature = "rivals"))]
pub(crate) fn rivals(_: Capacity, _: &mut impl Visitor) -> Result<()> {
    Ok(())
}

#[cfg(not(feature = "rivals"))]
pub(crate) fn more_rivals(_: Capacity, _: &mut impl Visitor) -> Result<()> {
    Ok(())
}
