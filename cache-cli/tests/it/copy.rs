//! Copies from store to store, as a user has them made.

use std::{
    fs,
    io::Read,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::sandbox::{Answer, Sandbox, answer, answer_to};

fn disk(sandbox: &Sandbox, name: &str) -> String {
    format!("disk:{}", sandbox.path(name).display())
}

fn redb(sandbox: &Sandbox) -> String {
    format!("redb:{}", sandbox.path("entries.redb").display())
}

fn copy(sandbox: &Sandbox, from: &str, to: &str, args: &[&str]) -> Command {
    let mut command = sandbox.bare();
    command.args(["copy", from, to]).args(args);
    command
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.stdout.clone()).unwrap()
}

/// What a store lists, as JSON, without where it lies and how much it takes there.
fn listed(sandbox: &Sandbox, url: &str) -> Vec<Value> {
    let listed = answer(sandbox.bare().args(["--store", url, "--json", "ls", "--recursive"])).done();
    let parse = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        entry
            .as_object_mut()
            .unwrap()
            .retain(|name, _| ["digest", "namespace", "bytes", "blobs"].contains(&name.as_str()));
        entry
    };
    listed.lines().map(parse).collect()
}

/// When an entry was modified, to the second.
fn modified(sandbox: &Sandbox, url: &str, digest: &str) -> Value {
    let stat = answer(sandbox.bare().args(["--store", url, "--json", "stat", digest])).done();
    let stat: Value = serde_json::from_str(&stat).unwrap();
    assert!(stat["modified"].is_string(), "{stat}");
    stat["modified"].clone()
}

#[test]
fn a_copy_through_a_database_comes_back_as_it_was() {
    let sandbox = Sandbox::new();
    let (one, deep) = (sandbox.put("one"), sandbox.put_into(&["deep", "er"], "two"));
    let large: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let large_digest = sandbox.put(&large);
    answer_to(&mut sandbox.cache(["put", "-", "--blob", "log"]), b"one").done();
    let (first, last) = (disk(&sandbox, "store"), disk(&sandbox, "back"));
    let told = answer(&mut copy(&sandbox, &first, &redb(&sandbox), &[])).done();
    assert!(told.starts_with("3 entries: 3 copied, 3.8 MiB, 0 skipped; durable"), "{told}");
    let told = answer(&mut copy(&sandbox, &redb(&sandbox), &last, &["--json"])).done();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&told["complete"], &told["durable"], &told["copied"]),
        (&true.into(), &true.into(), &3.into())
    );
    assert_eq!(listed(&sandbox, &last), listed(&sandbox, &first));
    for digest in [&one, &large_digest] {
        assert_eq!(modified(&sandbox, &last, digest), modified(&sandbox, &first, digest));
    }
    let get = |args: &[&str]| answer(sandbox.bare().args(["--store", &last, "get"]).args(args)).bytes();
    assert_eq!(get(&[&one]), b"one");
    assert_eq!(get(&[&one, "--blob", "log"]), b"one");
    assert_eq!(get(&[&deep, "--namespace", "deep", "--namespace", "er"]), b"two");
    assert!(get(&[&large_digest]) == large);
    let again = answer(&mut copy(&sandbox, &first, &last, &[])).done();
    assert_eq!(again, "3 entries: 0 copied, 0 B, 3 skipped; durable\n");
}

#[test]
fn only_the_namespace_and_what_is_below_is_copied() {
    let sandbox = Sandbox::new();
    sandbox.put("one");
    sandbox.put_into(&["deep"], "two");
    sandbox.put_into(&["deep", "er"], "three");
    let (from, to) = (disk(&sandbox, "store"), disk(&sandbox, "copy"));
    let told = answer(&mut copy(&sandbox, &from, &to, &["--namespace", "deep"])).done();
    assert_eq!(told, "2 entries: 2 copied, 8 B, 0 skipped; durable\n");
    assert_eq!(listed(&sandbox, &to).len(), 2);
    answer(sandbox.bare().args(["--store", &to, "ls", "--namespace", "deep"])).done();
}

/// It is killed when it has written some entries, and not the last one.
#[test]
fn a_copy_that_was_killed_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let from = disk(&sandbox, "store");
    for n in 0..120_u32 {
        sandbox.put(n.to_le_bytes().repeat(20_000));
    }
    let (to, target) = (disk(&sandbox, "copy"), sandbox.path("copy"));
    let shards = || {
        let entries = fs::read_dir(&target).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().len() == 2).count()
    };
    let mut child = copy(&sandbox, &from, &to, &["--jobs", "1"]).stdout(Stdio::piped()).spawn().unwrap();
    while shards() < 5 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut told = String::new();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "", "it was killed midway");
    let there = listed(&sandbox, &to).len();
    assert!((1..120).contains(&there), "{there}");
    let rest = answer(&mut copy(&sandbox, &from, &to, &["--json"])).done();
    let rest: Value = serde_json::from_str(&rest).unwrap();
    assert_eq!((&rest["skipped"], &rest["copied"]), (&there.into(), &(120 - there).into()));
    assert_eq!(rest["complete"], true);
    assert_eq!(listed(&sandbox, &to), listed(&sandbox, &from));
    assert!(answer(sandbox.bare().args(["--store", &to, "verify"])).done().starts_with("120 entries"));
}

#[test]
fn a_copy_begins_after_the_key_that_it_is_told() {
    let sandbox = Sandbox::new();
    let mut digests: Vec<_> = ["a", "b", "c", "d"].map(|text| sandbox.put_into(&["x"], text)).to_vec();
    digests.sort();
    let (from, to) = (disk(&sandbox, "store"), disk(&sandbox, "copy"));
    let key = format!("x/{}", digests[1]);
    let told = answer(&mut copy(&sandbox, &from, &to, &["--start-after", &key])).done();
    assert_eq!(told, "2 entries: 2 copied, 2 B, 0 skipped; durable\n");
    for wrong in ["", "x/", "x/abcd", "x/y"] {
        answer(&mut copy(&sandbox, &from, &to, &["--start-after", wrong])).failed();
    }
}

#[test]
fn damage_at_the_source_is_named_and_the_rest_is_copied() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.put("one"), sandbox.put("two"));
    let file: PathBuf = sandbox.path("store").join(&one[..2]).join(&one).join("~data");
    let mut bytes = fs::read(&file).unwrap();
    bytes[50] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (from, to) = (disk(&sandbox, "store"), disk(&sandbox, "copy"));
    let found = answer(&mut copy(&sandbox, &from, &to, &[]));
    assert_eq!((found.code, found.stderr.as_str()), (Some(1), ""));
    assert_eq!(
        text(&found),
        format!("missing {one}\n2 entries: 1 copied, 3 B, 0 skipped, 1 damaged; durable\n")
    );
    assert_eq!(answer(sandbox.bare().args(["--store", &to, "get", &two])).done(), "two");
}

#[test]
fn what_the_target_has_no_room_for_is_named() {
    let sandbox = Sandbox::new();
    let (small, large) = (sandbox.put("small"), sandbox.put("large".repeat(100)));
    let to = format!("{}?max_blob=100", disk(&sandbox, "copy"));
    let found = answer(&mut copy(&sandbox, &disk(&sandbox, "store"), &to, &["--json"]));
    assert_eq!((found.code, found.stderr.as_str()), (Some(1), ""));
    let told: Value = serde_json::from_str(&text(&found)).unwrap();
    assert_eq!((&told["refused"], &told["copied"]), (&1.into(), &1.into()));
    assert_eq!(told["missing"][0]["digest"], large);
    answer(sandbox.bare().args(["--store", &to, "get", &small])).done();
}

#[test]
fn another_version_stays_or_goes_as_is_said() {
    for (args, stays) in
        [(&["--overwrite", "never"][..], true), (&[], true), (&["--overwrite", "always"], false)]
    {
        let sandbox = Sandbox::new();
        let (from, to) = (disk(&sandbox, "store"), disk(&sandbox, "copy"));
        let digest = sandbox.put("one");
        answer(&mut copy(&sandbox, &from, &to, &[])).done();
        let mut merge = sandbox.bare();
        merge.args(["--store", &to, "put", "-", "--blob", "log"]);
        answer_to(&mut merge, b"one").done();
        let told = answer(&mut copy(&sandbox, &from, &to, args)).done();
        assert_eq!(told.contains("1 kept in another version"), stays, "{args:?}: {told}");
        let log = answer(sandbox.bare().args(["--store", &to, "get", &digest, "--blob", "log"]));
        assert_eq!(log.code, Some(i32::from(!stays)), "{args:?}");
    }
}

#[test]
fn wrong_use_is_an_error_and_makes_nothing() {
    let sandbox = Sandbox::new();
    let (absent, to) = (disk(&sandbox, "absent"), disk(&sandbox, "copy"));
    let failed = |from: &str, to: &str, args: &[&str]| answer(&mut copy(&sandbox, from, to, args)).failed();
    assert!(failed(&absent, &to, &[]).contains("cannot copy from"));
    assert!(failed(&redb(&sandbox), &to, &[]).contains("cannot copy from"));
    assert!(failed(&absent, &to, &["--blob", "x"]).contains("copy takes no --blob"));
    assert!(failed(&absent, &to, &["--store", "memory:"]).contains("copy takes no --store"));
    assert!(failed("nonsense:", &to, &[]).contains("scheme is unknown"));
    for name in ["absent", "copy", "entries.redb"] {
        assert!(!sandbox.path(name).exists(), "{name}");
    }
    sandbox.put("one");
    let store = disk(&sandbox, "store");
    assert!(failed(&store, &store, &[]).contains("the same store"));
    assert!(failed(&store, "nonsense:", &[]).contains("scheme is unknown"));
    failed(&store, &to, &["--jobs", "0"]);
    failed(&store, &to, &["--overwrite", "perhaps"]);
    assert!(sandbox.run(["usage"]).done().contains("1 entr"));
}
