//! What is under way for one key: its flights, and its writes.

use std::{mem, sync::Arc};

use futures::future::BoxFuture;

use super::{
    machine::{Flight, Ticket},
    outcome::{Computed, Found, Put, PutContent},
    waits::Computation,
};
use crate::{BlobName, chain::fresh_id};

/// What is under way for one key.
#[derive(Default)]
pub(crate) struct Slot {
    /// Puts and evictions that have begun and not ended.
    pub(crate) writers: usize,
    pub(crate) reads: Vec<Listed<(BlobName, bool), Found>>,
    pub(crate) computes: Vec<Listed<Compute, Computed>>,
    pub(crate) puts: Vec<Listed<Arc<PutContent>, Put>>,
    /// All shared puts whose work has not ended, also those that nobody can join any more.
    pub(crate) putting: Vec<Putting>,
}

/// A put whose work has not ended.
pub(crate) struct Putting {
    pub(crate) flight: Arc<Flight<Put>>,
    /// Whether a write found that its callers had left. Nobody joins it then but writes that wait for it, and
    /// their leaving does not make it the affair of a caller again.
    pub(crate) is_left: bool,
}

/// What a write has to wait for, so that it lands last.
pub(crate) struct Ahead {
    /// Computations that are storing their values.
    pub(crate) storing: Vec<Arc<Flight<Computed>>>,
    /// Puts that are within the store although their callers have left.
    pub(crate) abandoned: Vec<Arc<Flight<Put>>>,
}

/// What went off the table: to be dropped when its lock is released.
#[derive(Default)]
#[expect(dead_code, reason = "held to be dropped")]
pub(crate) struct Off {
    reads: Vec<Listed<(BlobName, bool), Found>>,
    computes: Vec<Listed<Compute, Computed>>,
    puts: Vec<Listed<Arc<PutContent>, Put>>,
    putting: Vec<Putting>,
}

/// A flight and what it is of.
pub(crate) struct Listed<N, T> {
    pub(crate) name: N,
    pub(crate) flight: Arc<Flight<T>>,
}

/// What a computation is of.
pub(crate) struct Compute {
    pub(crate) blob: BlobName,
    pub(crate) form: u64,
    /// Whether it has begun to write its value.
    pub(crate) storing: bool,
}

/// A share in a flight, and whether it is a new one.
pub(crate) struct Boarded<T> {
    pub(crate) led: bool,
    pub(crate) ticket: Ticket<T>,
}

/// The name of a new flight, the computation that it is if it is one, and its work.
pub(crate) type Begun<N, T> = (N, Option<Arc<Computation>>, BoxFuture<'static, T>);

impl Slot {
    pub(crate) fn is_empty(&self) -> bool {
        self.writers == 0
            && self.reads.is_empty()
            && self.computes.is_empty()
            && self.puts.is_empty()
            && self.putting.is_empty()
    }

    /// A write begins or ends: nothing that began before may answer a later call.
    pub(crate) fn overtake(&mut self) -> Off {
        let computes = self.computes.extract_if(.., |compute| !compute.name.storing).collect();
        let (reads, puts) = (mem::take(&mut self.reads), mem::take(&mut self.puts));
        Off { reads, computes, puts, putting: Vec::new() }
    }

    pub(crate) fn remove(&mut self, id: u64) -> Off {
        if self.computes.iter().any(|compute| compute.name.storing && compute.flight.id() == id) {
            // Those that missed the value answer no caller who comes after it.
            return Off {
                reads: mem::take(&mut self.reads),
                computes: mem::take(&mut self.computes),
                puts: Vec::new(),
                putting: Vec::new(),
            };
        }
        Off {
            reads: self.reads.extract_if(.., |listed| listed.flight.id() == id).collect(),
            computes: self.computes.extract_if(.., |listed| listed.flight.id() == id).collect(),
            puts: self.puts.extract_if(.., |listed| listed.flight.id() == id).collect(),
            putting: self.putting.extract_if(.., |put| put.flight.id() == id).collect(),
        }
    }

    pub(crate) fn begin_write(&mut self) -> (Off, Ahead) {
        self.writers += 1;
        let off = self.overtake();
        let storing = self.computes.iter().map(|compute| Arc::clone(&compute.flight)).collect();
        for put in &mut self.putting {
            put.is_left |= put.flight.is_abandoned();
        }
        let left = self.putting.iter().filter(|put| put.is_left);
        let abandoned = left.map(|put| Arc::clone(&put.flight)).collect();
        (off, Ahead { storing, abandoned })
    }
}

/// Joins a flight of a name that is the `same`, if one can be joined.
pub(crate) fn join<N, T: Clone>(list: &[Listed<N, T>], same: impl Fn(&N) -> bool) -> Option<Boarded<T>> {
    let ticket = list.iter().filter(|listed| same(&listed.name)).find_map(|listed| listed.flight.join())?;
    Some(Boarded { led: false, ticket })
}

/// Begins a flight.
pub(crate) fn lead<N, T: Clone>(
    list: &mut Vec<Listed<N, T>>,
    begin: impl FnOnce(u64) -> Begun<N, T>,
) -> Boarded<T> {
    let id = fresh_id();
    let (name, computation, work) = begin(id);
    let (flight, ticket) = Flight::begin(id, computation, work);
    list.push(Listed { name, flight });
    Boarded { led: true, ticket }
}
