use std::{collections::BTreeSet, fs, path::Path};

use super::CLAUSES;

#[test]
fn every_clause_function_is_documented_by_its_requirement() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/clause");
    let mut functions = 0;
    for group in CLAUSES.iter().map(|clause| clause.group).collect::<BTreeSet<_>>() {
        let source = fs::read_to_string(directory.join(group).with_extension("rs")).unwrap();
        functions += source.matches("\npub async fn ").count();
        for clause in CLAUSES.iter().filter(|clause| clause.group == group) {
            let head = format!("/// {}\npub async fn {}(", clause.requirement, clause.id);
            assert!(source.contains(&head), "the doc comment of {clause:?} is not its requirement");
        }
    }
    assert_eq!(functions, CLAUSES.len(), "a function in a clause module is not listed");
}

#[test]
fn clause_names_are_distinct() {
    let names: BTreeSet<_> = CLAUSES.iter().map(|clause| clause.id).collect();
    assert_eq!(names.len(), CLAUSES.len());
}

#[test]
fn core_groups_need_no_handle() {
    let core = [
        "atomic",
        "cancel",
        "cleaning",
        "concurrent",
        "counting",
        "ending",
        "keys",
        "limits",
        "list",
        "model",
        "names",
        "pages",
        "powers",
        "read",
        "recency",
        "short",
        "sizes",
        "streams",
        "write",
    ];
    for clause in CLAUSES.iter().filter(|clause| core.contains(&clause.group)) {
        assert_eq!(clause.needs, None, "{clause:?} can be opted out");
    }
}
