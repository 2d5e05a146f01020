//! The suite on the command line: what it finds, and that it leaves a store as it was.

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use cache_conformance::{CLAUSES, Report, Verdict};
use serde_json::Value;

use crate::sandbox::{Answer, Sandbox, answer};

/// Entries of others in the sandbox's store, also where the suite's look alike.
struct Others {
    digests: Vec<(Vec<&'static str>, String)>,
}

impl Others {
    fn put(sandbox: &Sandbox) -> Self {
        let places: [&[&str]; 4] = [&[], &["a"], &["conformance"], &["conformance-0000000", "0"]];
        let digests = places.map(|place| (place.to_vec(), sandbox.put_into(place, place.join("/"))));
        Self { digests: digests.into() }
    }

    #[track_caller]
    fn are_all_there_is(&self, sandbox: &Sandbox) {
        for (place, digest) in &self.digests {
            let mut command = sandbox.cache(["get", digest]);
            for part in place {
                command.args(["--namespace", part]);
            }
            assert_eq!(answer(&mut command).done(), place.join("/"));
        }
        let listed = sandbox.run(["ls", "--recursive"]).done();
        assert_eq!(listed.lines().count(), self.digests.len(), "{listed}");
        let mut left = directories(sandbox, "store");
        left.retain(|name| name.starts_with('~'));
        assert_eq!(left, ["~a", "~conformance", "~conformance-0000000"]);
    }
}

fn directories(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let Ok(found) = fs::read_dir(sandbox.path(name)) else { return Vec::new() };
    let mut names: Vec<_> = found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn conformance(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.bare();
    command.arg("conformance").args(args);
    command
}

/// The report of a run that ended with this code, without a word on standard error.
#[track_caller]
fn report(answer: &Answer, code: i32) -> Report {
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(code), ""));
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
fn memory_keeps_every_clause_with_its_limits() {
    let sandbox = Sandbox::new();
    let text = answer(&mut conformance(&sandbox, &["memory:", "--cases", "4"])).done();
    let mut groups: Vec<_> = CLAUSES.iter().map(|clause| clause.group).collect();
    groups.dedup();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines.len(), groups.len() + 1, "a line for each group, and one for all: {text}");
    for (line, group) in lines.iter().zip(groups) {
        assert!(line.starts_with(group), "{line}");
    }
    assert!(lines.last().unwrap().starts_with("memory:  "), "{text}");
    assert!(!text.contains("failed:") && !text.contains(", 0 passed"), "{text}");
}

#[test]
fn disk_that_others_use_is_left_as_it_was() {
    let sandbox = Sandbox::new();
    let others = Others::put(&sandbox);
    // Under these limits nothing could be tried, and all others would be driven out.
    let url = format!("{}?max_size=1KB&max_blob=10", sandbox.store());
    let found = report(&answer(&mut conformance(&sandbox, &[&url, "--json", "--cases", "4"])), 0);
    assert!(found.is_success(), "{found}");
    assert_eq!(found.clauses.len(), CLAUSES.len());
    others.are_all_there_is(&sandbox);
}

/// A store in use may lie on a disk that is almost full.
#[test]
fn clause_leaves_no_more_than_the_next_one_finds_room_for() {
    let sandbox = Sandbox::new();
    let mut command =
        conformance(&sandbox, &[&sandbox.store(), "--jobs", "1", "--only", "read", "--only", "sizes"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let look = || -> Vec<String> {
        let parts = directories(&sandbox, "store").into_iter().filter(|name| is_the_suites(name));
        parts.flat_map(|part| directories(&sandbox, &format!("store/{part}"))).collect()
    };
    let (mut most, mut before) = (0, Vec::<String>::new());
    while child.try_wait().unwrap().is_none() {
        // What goes and what comes during one look may both be in it: what is there is in two.
        let now = look();
        most = most.max(now.iter().filter(|clause| before.contains(clause)).count());
        before = now;
        sleep(Duration::from_millis(1));
    }
    assert_eq!((child.wait().unwrap().code(), most), (Some(0), 1), "namespaces of clauses at a time");
}

#[test]
fn tiers_are_one_store() {
    let sandbox = Sandbox::new();
    let others = Others::put(&sandbox);
    let mut command = conformance(&sandbox, &["memory:", &sandbox.store(), "--json", "--cases", "4"]);
    let found = report(&answer(&mut command), 0);
    assert!(found.is_success(), "{found}");
    assert_eq!(found.store, format!("memory: over {}", sandbox.store()));
    others.are_all_there_is(&sandbox);
}

#[test]
fn exclusive_run_tries_limits_and_leaves_the_store_empty() {
    let sandbox = Sandbox::new();
    let args = ["--exclusive", "--json", "--only", "limits", "--only", "ending", &sandbox.store()];
    let found = report(&answer(&mut conformance(&sandbox, &args)), 0);
    let chosen = CLAUSES.iter().filter(|clause| ["limits", "ending"].contains(&clause.group));
    assert_eq!(found.clauses.len(), chosen.count());
    assert_eq!(found.passed(), found.clauses.len(), "{found}");
    assert_eq!(directories(&sandbox, "store"), [".cache-disk", ".index", ".tmp"]);
}

#[test]
fn exclusive_run_is_refused_where_entries_are() {
    let sandbox = Sandbox::new();
    let others = Others::put(&sandbox);
    let line = answer(&mut conformance(&sandbox, &["--exclusive", &sandbox.store()])).failed();
    assert!(line.contains("--exclusive empties the store"), "{line}");
    let line = answer(&mut conformance(&sandbox, &["--exclusive", "--jobs", "2", &sandbox.store()])).failed();
    assert!(line.contains("--jobs"), "{line}");
    others.are_all_there_is(&sandbox);
}

#[test]
fn json_is_one_line_of_exactly_this_shape() {
    let sandbox = Sandbox::new();
    let mut command = conformance(&sandbox, &["--json", "--only", "miss_is_none", "--name", "toy"]);
    let text = answer(command.env("CACHE_STORE", "memory:")).done();
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "{{\"suite\":\"cache-conformance {version}\",\"store\":\"toy\",\"clauses\":[\
         {{\"id\":\"miss_is_none\",\"group\":\"read\",\"outcome\":\"passed\",\"detail\":\"\"}}]}}\n"
    );
    assert_eq!(text, expected);
    serde_json::from_str::<Value>(&text).unwrap();
}

#[test]
fn broken_store_exits_with_1_and_names_the_clause() {
    let sandbox = Sandbox::new();
    let others = Others::put(&sandbox);
    // A disk on which no file can be larger than a megabyte or two.
    let on_a_small_disk = |args: &[&str]| {
        let script = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" conformance \"$@\"";
        let mut command = sandbox.command("sh".as_ref());
        command.args(["-c", script, env!("CARGO_BIN_EXE_cache"), "--only", "read"]).args(args);
        answer(&mut command)
    };
    let found = report(&on_a_small_disk(&[&sandbox.store(), "--json"]), 1);
    let failed: Vec<_> = found
        .clauses
        .iter()
        .filter(|clause| clause.outcome == Verdict::Failed)
        .map(|clause| &clause.id)
        .collect();
    assert_eq!(failed, ["large_blob_round_trips"], "{found}");
    others.are_all_there_is(&sandbox);

    let answer = on_a_small_disk(&[&sandbox.store()]);
    // The clause panicked, and nobody has to report that.
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""));
    let text = String::from_utf8(answer.stdout).unwrap();
    assert!(text.contains("\n  large_blob_round_trips: failed: put of "), "{text}");
    assert!(text.contains(", 1 failed"), "{text}");
}

#[test]
fn clause_that_cannot_be_tried_is_no_success() {
    let Some(clause) = CLAUSES.iter().find(|clause| clause.needs.is_some()) else { return };
    let sandbox = Sandbox::new();
    let found = report(&answer(&mut conformance(&sandbox, &["memory:", "--json", "--only", clause.id])), 1);
    assert_eq!((found.passed(), found.failed(), found.not_run()), (0, 0, 1));
}

#[test]
fn what_cannot_be_run_is_an_error() {
    let sandbox = Sandbox::new();
    let check = |args: &[&str], why: &str| {
        let line = answer(&mut conformance(&sandbox, args)).failed();
        assert!(line.contains(why), "{why:?} is not in {line:?}");
    };
    check(
        &["memory:", "--only", "nothing-like-that"],
        "there is no clause or group \"nothing-like-that\"; the groups are read, write, ",
    );
    check(&["disk:/proc/nothing"], "/proc/nothing");
    check(&["nonsense"], "nonsense");
    check(&["memory:", "--store", "memory:"], "either as URLs or with --store");
    check(&["memory:", "--namespace", "a"], "--namespace");
    check(&["memory:", "--blob", "a"], "--blob");
    check(&["memory:", "--jobs", "0"], "--jobs");
    check(&["memory:", "--cases", "0"], "--cases");
}

#[test]
fn secrets_in_urls_are_not_shown() {
    let sandbox = Sandbox::new();
    for url in ["memory://user:hidden@host", "memory:?token=hidden", "s3://user:hidden@host/x?key=hidden"] {
        let line = answer(&mut conformance(&sandbox, &[url])).failed();
        assert!(!line.contains("hidden"), "{line}");
    }
}

#[test]
fn interrupted_run_leaves_the_store_as_it_was() {
    let sandbox = Sandbox::new();
    let others = Others::put(&sandbox);
    let mut command = conformance(&sandbox, &[&sandbox.store()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !directories(&sandbox, "store").iter().any(|name| is_the_suites(name)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "no clause has begun");
        sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let line = Answer::of(child.wait_with_output().unwrap()).failed();
    assert_eq!(line, "error: interrupted");
    others.are_all_there_is(&sandbox);
}

/// `conformance-` and 8 digits, encoded.
fn is_the_suites(name: &str) -> bool {
    name.strip_prefix("~conformance-").is_some_and(|digits| digits.len() == 8)
}
