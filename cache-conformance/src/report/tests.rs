use std::time::Duration;

use super::{ClauseReport, Report, Verdict};
use crate::{CLAUSES, Clause, Outcome};

fn report(store: &str, outcomes: &[(&str, Outcome)]) -> Report {
    let clauses = outcomes.iter().map(|(id, outcome)| ClauseReport::new(Clause::named(id).unwrap(), outcome));
    Report::new(store, clauses.collect())
}

fn mixed() -> Report {
    report(
        "toy:",
        &[
            ("miss_is_none", Outcome::Passed),
            ("put_is_visible", Outcome::Failed("left: 1\n right: \u{1b}[31m2".into())),
            ("empty_blob_round_trips", Outcome::TimedOut(Duration::from_secs(60))),
            ("put_says_stored", Outcome::NotRun("needs a handle".into())),
        ],
    )
}

#[test]
fn json_has_exactly_these_fields() {
    let report = report(
        "toy:",
        &[
            ("miss_is_none", Outcome::Passed),
            ("put_is_visible", Outcome::TimedOut(Duration::from_secs(60))),
            ("put_says_stored", Outcome::NotRun("needs a handle".into())),
        ],
    );
    let json = serde_json::to_string(&report).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "{{\"suite\":\"cache-conformance {version}\",\"store\":\"toy:\",\"clauses\":[\
         {{\"id\":\"miss_is_none\",\"group\":\"read\",\"outcome\":\"passed\",\"detail\":\"\"}},\
         {{\"id\":\"put_is_visible\",\"group\":\"read\",\"outcome\":\"timed_out\",\"detail\":\"no answer within 60s\"}},\
         {{\"id\":\"put_says_stored\",\"group\":\"write\",\"outcome\":\"not_run\",\"detail\":\"needs a handle\"}}]}}"
    );
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    assert_eq!(serde_json::to_string(&Verdict::Failed).unwrap(), "\"failed\"");
    assert!(serde_json::from_str::<Report>(&json.replace("\"store\"", "\"shop\"")).is_err());
}

#[test]
fn success_means_that_something_ran_and_nothing_failed() {
    let outcomes = |outcomes: &[Outcome]| {
        let ids = CLAUSES.iter().map(|clause| clause.id);
        report("toy:", &ids.zip(outcomes.iter().cloned()).collect::<Vec<_>>())
    };
    let (failed, late) = (Outcome::Failed("x".into()), Outcome::TimedOut(Duration::ZERO));
    let not_run = Outcome::NotRun("x".into());
    assert!(!outcomes(&[]).is_success());
    assert!(!outcomes(std::slice::from_ref(&not_run)).is_success());
    assert!(outcomes(&[Outcome::Passed, not_run]).is_success());
    assert!(!outcomes(&[Outcome::Passed, failed]).is_success());
    assert!(!outcomes(&[Outcome::Passed, late]).is_success());
    assert_eq!((mixed().passed(), mixed().failed(), mixed().not_run()), (1, 2, 1));
}

#[test]
fn text_tells_groups_and_what_did_not_pass() {
    let text = mixed().to_string();
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        "read   1 of 3, 1 failed, 1 timed out",
        "  put_is_visible: failed: left: 1 right: [31m2",
        "  empty_blob_round_trips: timed out: no answer within 60s",
        "write  not run",
        "  put_says_stored: not run: needs a handle",
        &format!("toy:  1 of 4, 1 failed, 1 timed out, 1 not run  (cache-conformance {version})"),
    ];
    assert_eq!(text, expected.join("\n"));
}

#[test]
fn group_that_was_not_run_tells_its_reason_once() {
    let none = || Outcome::NotRun("needs a handle".into());
    let outcomes = [
        ("miss_is_none", Outcome::Passed),
        ("put_says_stored", none()),
        ("put_keeps_a_given_creation_time", none()),
    ];
    let text = report("toy:", &outcomes).to_string();
    let lines: Vec<_> = text.lines().take(2).collect();
    assert_eq!(lines, ["read   1 of 1", "write  not run: needs a handle"]);
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn table_has_a_row_for_each_group_and_a_column_for_each_store() {
    let other = report(
        "one|other",
        &[
            ("miss_is_none", Outcome::Passed),
            ("contains_tells_presence", Outcome::Passed),
            ("evict_is_idempotent", Outcome::Passed),
        ],
    );
    let expected = "\
| Group | Clauses | toy:                                     | one\\|other |
|-------|---------|------------------------------------------|------------|
| read  | 3       | 1 of 3, 1 failed, 1 timed out            | 1 of 1     |
| write | 1       | not run                                  | –          |
| keys  | 2       | –                                        | 2 of 2     |
| all   | 4       | 1 of 4, 1 failed, 1 timed out, 1 not run | 3 of 3     |
";
    assert_eq!(Report::table(&[mixed(), other]), expected);
}
