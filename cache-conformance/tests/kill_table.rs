//! The published table of mutants and their killers is that of the code.
//!
//! It is not in the package, as the table is not: `docs/kill-table.md` belongs to the workspace.

use std::{fs, path::PathBuf};

use cache_conformance::{CLAUSES, mutant::Mutant};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/kill-table.md")
}

fn current() -> String {
    let mutants: Vec<_> = Mutant::all().collect();
    let killing = |id: &str| mutants.iter().any(|mutant| mutant.killed_by.contains(&id));
    let proven = CLAUSES.iter().filter(|clause| killing(clause.id)).count();
    let mut table = format!(
        "# Kill table\n\n\
        A mutant is a store that is wrong on purpose. Each of the {} mutants of `cache-conformance` is killed: \
        it fails the clauses behind it\n(and perhaps others). {proven} of {} clauses are known to kill one. \
        The tests in `cache-conformance/tests/it/mutants.rs` prove both.\n\n\
        Written by `cargo test -p cache-conformance --test kill_table -- --ignored`.\n\n\
        | mutant | what it does wrong | killed by |\n|---|---|---|\n",
        mutants.len(),
        CLAUSES.len(),
    );
    for mutant in mutants {
        let killers: Vec<_> = mutant.killed_by.iter().map(|id| format!("`{id}`")).collect();
        table += &format!("| `{}` | {} | {} |\n", mutant.id, mutant.fault, killers.join(", "));
    }
    table
}

#[test]
fn published_table_is_the_current_one() {
    let published = fs::read_to_string(path()).unwrap();
    assert!(
        published == current(),
        "docs/kill-table.md is of another state of the code; write it again by\n    \
        cargo test -p cache-conformance --test kill_table -- --ignored"
    );
}

#[test]
#[ignore = "writes docs/kill-table.md"]
fn write_the_table() {
    fs::write(path(), current()).unwrap();
}
