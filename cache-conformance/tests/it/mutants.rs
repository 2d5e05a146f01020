//! Each mutant is killed by the clauses that it names, and each clause kills a mutant.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use cache_conformance::{CLAUSES, Clause, Handle, Outcome, RunOptions, mutant::Mutant};

/// Kills the mutants of each part in a test of its own, so that they run side by side.
fn kill(part: usize) {
    for mutant in Mutant::all().skip(part).step_by(4) {
        for id in mutant.killed_by {
            let clause = Clause::named(id).unwrap_or_else(|| panic!("{mutant:?}: there is no clause {id}"));
            // These need a process of their own: `tests/heap.rs`.
            if clause.needs == Some(Handle::Heap) {
                continue;
            }
            // With a seed, so that a mutant which random operations rarely meet is always met.
            let outcome = clause.run_with(mutant.factory(), RunOptions::default().with_seed(1));
            // A clause that runs into its limit does not count: it would make the suite slow to fail.
            assert!(matches!(outcome, Outcome::Failed(_)), "{mutant:?} survives {id}: {outcome}");
        }
    }
}

#[test]
fn every_mutant_is_killed_part_1() {
    kill(0);
}

#[test]
fn every_mutant_is_killed_part_2() {
    kill(1);
}

#[test]
fn every_mutant_is_killed_part_3() {
    kill(2);
}

#[test]
fn every_mutant_is_killed_part_4() {
    kill(3);
}

#[test]
fn every_clause_kills_a_mutant() {
    let killers: BTreeSet<_> = Mutant::all().flat_map(|mutant| mutant.killed_by).copied().collect();
    let unproven = CLAUSES.iter().filter(|clause| !killers.contains(clause.id)).map(|clause| clause.id);
    assert_eq!(unproven.collect::<Vec<_>>(), Vec::<&str>::new(), "clauses that no mutant is known to break");
}

#[test]
fn mutants_have_names_and_killers() {
    let names: BTreeSet<_> = Mutant::all().map(|mutant| mutant.id).collect();
    assert_eq!(names.len(), Mutant::all().count(), "a name stands twice");
    for mutant in Mutant::all() {
        assert!(!mutant.killed_by.is_empty(), "{mutant:?} has no killer");
        let killers: BTreeSet<_> = mutant.killed_by.iter().collect();
        assert_eq!(killers.len(), mutant.killed_by.len(), "{mutant:?} names a clause twice");
    }
}

#[test]
#[ignore = "prints which clauses kill each mutant, and how fast: to choose the killers by"]
fn print_all_kills() {
    let options = RunOptions::default().with_limit(Duration::from_secs(3));
    let next = Mutex::new(Mutant::all());
    let work = || {
        while let Some(mutant) = { next.lock().unwrap().next() } {
            let (mut kills, mut hangs) = (Vec::new(), Vec::new());
            for clause in CLAUSES {
                let begun = Instant::now();
                match clause.run_with(mutant.factory(), options) {
                    Outcome::Failed(_) => kills.push((begun.elapsed().as_millis(), clause.id)),
                    Outcome::TimedOut(_) => hangs.push(clause.id),
                    _ => {}
                }
            }
            let killers = kills.iter().map(|(millis, id)| format!("{id} ({millis} ms)"));
            let killers: Vec<_> = killers.chain(hangs.iter().map(|id| format!("{id} (hangs)"))).collect();
            println!("{}: {}", mutant.id, killers.join(", "));
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
}
