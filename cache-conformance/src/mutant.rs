//! Stores that are wrong on purpose: each breaks one rule, and some clause has to find it.
//!
//! They prove the suite: the table of which clause kills which mutant is `docs/kill-table.md` in the
//! repository. They are variants of [`ReferenceStore`](crate::ReferenceStore), over which all clauses pass.
//!
//! ```
//! use cache_conformance::{Clause, Outcome, mutant::Mutant};
//!
//! let mutant = Mutant::named("lists_descending").expect("a mutant");
//! let clause = Clause::named(mutant.killed_by[0]).expect("a clause");
//! assert!(matches!(clause.run(mutant.factory()), Outcome::Failed(_)));
//! ```

pub(crate) mod twist;

mod atomic;
mod cancel;
mod cleaning;
mod concurrent;
mod corruption;
mod counting;
mod crash;
mod edges;
mod ending;
mod faults;
mod heap;
mod keys;
mod limits;
mod list;
mod model;
mod names;
mod powers;
mod read;
mod recency;
mod sizes;
mod spill;
mod streams;
mod write;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use cache_core::{Result, SpillSource, Store};

use crate::{Crash, Damage, Factory, Failures, Reference, Setup, Spill};

/// A store that breaks one rule.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Mutant {
    /// Its name.
    pub id: &'static str,
    /// What it does wrong.
    pub fault: &'static str,
    /// The clauses that are known to find it; others may, too.
    pub killed_by: &'static [&'static str],
    /// What it is a variant of.
    fresh: fn() -> Reference,
    open: fn(&Reference, &Setup) -> Result<Arc<dyn SpillSource>>,
}

impl fmt::Debug for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mutant({})", self.id)
    }
}

impl Mutant {
    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let groups = [
            atomic::MUTANTS,
            cancel::MUTANTS,
            cleaning::MUTANTS,
            concurrent::MUTANTS,
            corruption::MUTANTS,
            counting::MUTANTS,
            crash::MUTANTS,
            edges::MUTANTS,
            ending::MUTANTS,
            faults::MUTANTS,
            heap::MUTANTS,
            keys::MUTANTS,
            limits::MUTANTS,
            list::MUTANTS,
            model::MUTANTS,
            names::MUTANTS,
            powers::MUTANTS,
            read::MUTANTS,
            recency::MUTANTS,
            sizes::MUTANTS,
            spill::MUTANTS,
            streams::MUTANTS,
            write::MUTANTS,
        ];
        groups.into_iter().flatten()
    }

    /// The mutant with this name.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        Self::all().find(|mutant| mutant.id == id)
    }

    /// Opens it, with every handle.
    #[must_use]
    pub fn factory(&'static self) -> impl Factory {
        Mutated { mutant: self, reference: (self.fresh)() }
    }
}

struct Mutated {
    mutant: &'static Mutant,
    reference: Reference,
}

#[async_trait]
impl Factory for Mutated {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok((self.mutant.open)(&self.reference, setup)?)
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.reference.damage()
    }

    fn failures(&self) -> Option<&dyn Failures> {
        self.reference.failures()
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.reference.crash()
    }

    fn spill(&self) -> Option<&dyn Spill> {
        self.reference.powers().spills.then_some(self)
    }
}

#[async_trait]
impl Spill for Mutated {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn SpillSource>> {
        (self.mutant.open)(&self.reference, setup)
    }
}
