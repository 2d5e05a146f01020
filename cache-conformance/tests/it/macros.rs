//! What `suite!` writes, as the test harness sees it.

use std::{collections::BTreeSet, env, process::Command};

use cache_conformance::CLAUSES;

/// The tests of this binary that are ignored, or all of them.
fn tests(options: &[&str]) -> Vec<String> {
    let listed = Command::new(env::current_exe().unwrap()).arg("--list").args(options).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.strip_suffix(": test")?.to_owned())).collect()
}

#[test]
fn every_clause_is_a_test_and_those_without_a_handle_are_ignored_under_a_name_to_skip() {
    let (all, ignored) = (tests(&[]), tests(&["--ignored"]));
    for (suite, handles) in [("all_powers", 4), ("volatile", 0)] {
        let prefix = format!("conformance::{suite}::");
        let here = |tests: &[String]| -> BTreeSet<String> {
            tests.iter().filter_map(|test| Some(test.strip_prefix(&prefix)?.to_owned())).collect()
        };
        let needing: Vec<_> = CLAUSES.iter().filter(|clause| clause.needs.is_some()).collect();
        let without = needing.iter().filter(|clause| handles == 0 || clause.group == "heap");
        let (here, ignored) = (here(&all), here(&ignored));
        assert_eq!((here.len(), ignored.len()), (CLAUSES.len(), without.count()));
        assert!(ignored.iter().all(|test| test.starts_with("needs_a_handle")), "{ignored:?}");
        let skipped = here.iter().filter(|test| test.contains("needs_a_handle"));
        assert_eq!(skipped.count(), ignored.len());
    }
}
