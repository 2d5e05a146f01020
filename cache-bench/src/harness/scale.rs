use std::path::PathBuf;

use crate::{failure::Result, harness::ground::Ground};

/// How much a run takes on.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// Tiny sizes: the run shows that the benchmarks work and nothing else.
    pub(crate) quick: bool,
    /// Rounds before those, that do not count.
    pub(crate) warm_up: usize,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// The program that counts what it allocates, if it could be had.
    pub(crate) heap: Option<PathBuf>,
    /// Where files are put, of a set that does.
    pub(crate) ground: Option<Ground>,
    /// How many entries a large store has, if that was asked for.
    pub(crate) entries: Option<usize>,
}

impl Scale {
    /// A size: the real one, or a tiny one.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// For what is the same every time.
    pub(crate) fn once(&self) -> Self {
        self.at_most(1).cold()
    }

    /// For what begins anew each time.
    pub(crate) fn cold(&self) -> Self {
        Self { warm_up: 0, ..self.clone() }
    }

    /// For what hardly differs between rounds, or takes long.
    pub(crate) fn at_most(&self, rounds: usize) -> Self {
        Self { rounds: self.rounds.min(rounds), ..self.clone() }
    }

    /// Where files are put.
    pub(crate) fn ground(&self) -> Result<&Ground> {
        self.ground.as_ref().ok_or_else(|| "this set has no place for files".into())
    }

    /// The program that counts what it allocates.
    pub(crate) fn heap(&self) -> Result<PathBuf> {
        self.heap.clone().ok_or_else(|| "the program that counts allocations could not be built".into())
    }
}
