use std::collections::BTreeSet;

use super::CLAUSES;

#[test]
fn every_clause_function_is_documented_by_its_requirement() {
    let sources = [
        ("atomic", include_str!("../clause/atomic.rs")),
        ("cleaning", include_str!("../clause/cleaning.rs")),
        ("counting", include_str!("../clause/counting.rs")),
        ("ending", include_str!("../clause/ending.rs")),
        ("keys", include_str!("../clause/keys.rs")),
        ("limits", include_str!("../clause/limits.rs")),
        ("list", include_str!("../clause/list.rs")),
        ("names", include_str!("../clause/names.rs")),
        ("read", include_str!("../clause/read.rs")),
        ("short", include_str!("../clause/short.rs")),
        ("write", include_str!("../clause/write.rs")),
    ];
    for clause in CLAUSES {
        let (_, source) = sources.iter().find(|(group, _)| *group == clause.group).unwrap();
        let head = format!("/// {}\npub async fn {}(", clause.requirement, clause.id);
        assert!(source.contains(&head), "the doc comment of {clause:?} is not its requirement");
    }
    let functions: usize = sources.iter().map(|(_, source)| source.matches("\npub async fn ").count()).sum();
    assert_eq!(functions, CLAUSES.len(), "a function in a clause module is not listed");
}

#[test]
fn clause_names_are_distinct() {
    let names: BTreeSet<_> = CLAUSES.iter().map(|clause| clause.id).collect();
    assert_eq!(names.len(), CLAUSES.len());
}
