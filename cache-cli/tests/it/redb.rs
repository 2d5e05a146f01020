//! Every verb on a store in a database file, which one process has open at a time.

use std::fs;

use cache_conformance::{CLAUSES, Report};

use crate::sandbox::{Answer, Sandbox, answer, answer_to};

fn url(sandbox: &Sandbox) -> String {
    format!("redb:{}", sandbox.path("entries.redb").display())
}

fn run(sandbox: &Sandbox, args: &[&str]) -> Answer {
    answer(sandbox.bare().args(["--store", &url(sandbox)]).args(args))
}

fn put(sandbox: &Sandbox, content: &[u8], args: &[&str]) -> String {
    let mut command = sandbox.bare();
    command.args(["--store", &url(sandbox), "put", "-"]).args(args);
    answer_to(&mut command, content).done().trim_end().to_owned()
}

#[test]
fn what_one_run_puts_the_next_ones_read_list_verify_and_remove() {
    let sandbox = Sandbox::new();
    let small = put(&sandbox, b"an artifact\0\xff", &[]);
    let content: Vec<u8> = (0..3_000_019_u32).map(|n| n.to_le_bytes()[usize::from(n % 3 == 0)]).collect();
    let large = put(&sandbox, &content, &["--namespace", "deep"]);
    assert_eq!(run(&sandbox, &["get", &small[..8]]).bytes(), b"an artifact\0\xff");
    assert!(run(&sandbox, &["get", &large, "--namespace", "deep"]).bytes() == content);
    run(&sandbox, &["get", &large]).missed();

    let listed = run(&sandbox, &["ls", "--recursive"]).done();
    assert!(listed.contains(&small) && listed.contains(&large), "{listed}");
    assert_eq!(listed.lines().count(), 2);
    assert!(run(&sandbox, &["usage"]).done().contains("2 entries"));
    let verified = run(&sandbox, &["verify"]).done();
    assert!(
        verified.starts_with("2 entries, ") && verified.ends_with(": 0 damaged, 0 repaired\n"),
        "{verified}"
    );

    run(&sandbox, &["rm", &small]).done();
    run(&sandbox, &["get", &small]).missed();
    run(&sandbox, &["clean", "--max-size", "0"]).done();
    assert_eq!(run(&sandbox, &["ls", "--recursive"]).done(), "");
    let left: Vec<_> =
        fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["entries.redb"]);
}

#[test]
fn a_look_into_it_changes_nothing() {
    let sandbox = Sandbox::new();
    let digest = put(&sandbox, b"here", &[]);
    let before = fs::read(sandbox.path("entries.redb")).unwrap();
    let look = format!("{}?read_only=true", url(&sandbox));
    assert_eq!(answer(sandbox.bare().args(["--store", &look, "get", &digest])).done(), "here");
    assert!(answer(sandbox.bare().args(["--store", &look, "ls"])).done().contains(&digest));
    answer_to(sandbox.bare().args(["--store", &look, "put", "-"]), b"more").failed();
    assert!(fs::read(sandbox.path("entries.redb")).unwrap() == before, "it was changed");
}

#[test]
fn a_file_of_somebody_else_is_an_error_that_names_it() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("entries.redb", "no database");
    let line = run(&sandbox, &["ls"]).failed();
    assert!(line.contains("entries.redb"), "{line}");
    assert_eq!(fs::read_to_string(file).unwrap(), "no database");
}

#[test]
fn the_suite_leaves_a_database_in_use_as_it_was() {
    let sandbox = Sandbox::new();
    let digest = put(&sandbox, b"mine", &["--namespace", "conformance"]);
    let mut command = sandbox.bare();
    command.args(["conformance", &url(&sandbox), "--json", "--cases", "4"]);
    let found = answer(&mut command);
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""));
    let report: Report = serde_json::from_slice(&found.stdout).unwrap();
    assert!(report.is_success(), "{report}");
    assert_eq!(report.clauses.len(), CLAUSES.len());
    let listed = run(&sandbox, &["ls", "--recursive"]).done();
    assert!(listed.contains(&digest) && listed.lines().count() == 1, "{listed}");
}

#[test]
fn the_suite_finds_its_limits_kept_in_an_empty_one() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.bare();
    command.args([
        "conformance",
        "--exclusive",
        "--json",
        "--only",
        "limits",
        "--only",
        "ending",
        &url(&sandbox),
    ]);
    let found = answer(&mut command);
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""));
    let report: Report = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report.passed(), report.clauses.len(), "{report}");
}
