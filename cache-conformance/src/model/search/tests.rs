use std::cell::RefCell;

use super::*;

fn sequences_of(seed: u64, cases: u32) -> Vec<Vec<Step>> {
    let tried = RefCell::new(Vec::new());
    let options = RunOptions::default().with_cases(cases);
    let outcome = runner(seed, options).run(&sequences(), |steps| {
        tried.borrow_mut().push(steps);
        Ok(())
    });
    outcome.unwrap();
    tried.into_inner()
}

#[test]
fn same_seed_gives_the_same_sequences() {
    let (once, again) = (sequences_of(7, 20), sequences_of(7, 30));
    assert_eq!(once.len(), 20);
    assert_eq!(once, again[..20]);
    assert_ne!(once, sequences_of(8, 20));
}

#[test]
fn sequences_try_every_operation() {
    let words: std::collections::BTreeSet<_> = sequences_of(1, 24)
        .into_iter()
        .flatten()
        .map(|step| step.to_string().split([' ', ',']).next().unwrap().to_owned())
        .collect();
    let all = [
        "clean",
        "contains",
        "evict",
        "flush",
        "get",
        "get_entry",
        "get_now",
        "list",
        "meta",
        "put",
        "usage",
    ];
    assert_eq!(words.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn what_fails_shrinks_to_the_least_sequence_and_tells_how_to_see_it_again() {
    // Wrong: a merge after an eviction.
    let check = |steps: &[Step]| {
        let evicted = steps.iter().position(|step| matches!(step, Step::Evict { .. }));
        let merges = |step: &Step| matches!(step, Step::Put { mode: cache_core::PutMode::Merge, .. });
        match evicted {
            Some(at) if steps[at..].iter().any(merges) => Err("a toy's fault".to_owned()),
            _ => Ok(()),
        }
    };
    let found = search("toy", check).unwrap_err();
    let lines: Vec<_> = found.lines().collect();
    assert_eq!(lines[0], "a toy's fault");
    assert_eq!(lines[2], "   1  evict 0a…", "{found}");
    assert!(lines[3].starts_with("   2  put 0a… as Merge {") && lines[3].ends_with(": 0 bytes}"), "{found}");
    assert!(lines[4].starts_with("To see it again: CACHE_CONFORMANCE_SEED="), "{found}");
    assert!(lines[4].ends_with(" cargo test toy"), "{found}");
}
