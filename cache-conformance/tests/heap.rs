//! What counts allocations, in a process in which nothing else happens: one test, and one clause at a time.

use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{CLAUSES, Clause, Factory, Handle, Heap, Outcome, Reference, Setup, mutant::Mutant};
use cache_core::{Powers, Result, Store};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

struct Allocated;

impl Heap for Allocated {
    fn allocated(&self) -> u64 {
        dhat::HeapStats::get().curr_bytes as u64
    }
}

struct Measured<F>(F);

#[async_trait]
impl<F: Factory> Factory for Measured<F> {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        self.0.open(setup).await
    }

    fn heap(&self) -> Option<&dyn Heap> {
        Some(&Allocated)
    }
}

#[test]
fn stores_keep_to_their_memory_and_mutants_do_not() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let heap = || CLAUSES.iter().filter(|clause| clause.needs == Some(Handle::Heap));
    for powers in [Reference::default().powers(), Reference::volatile().powers(), Powers::default()] {
        for clause in heap() {
            let outcome = clause.run(Measured(Reference::with_powers(powers)));
            assert_eq!(outcome, Outcome::Passed, "{clause:?} with {powers:?}");
        }
    }
    let mut proven = Vec::new();
    for mutant in Mutant::all() {
        for clause in mutant.killed_by.iter().map(|id| Clause::named(id).unwrap()) {
            if clause.needs == Some(Handle::Heap) {
                let outcome = clause.run(Measured(mutant.factory()));
                assert!(matches!(outcome, Outcome::Failed(_)), "{mutant:?} survives {clause:?}: {outcome}");
                proven.push(clause.id);
            }
        }
    }
    assert!(heap().all(|clause| proven.contains(&clause.id)), "unproven: only {proven:?} are not");
}
