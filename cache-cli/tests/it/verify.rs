use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use crate::sandbox::{Answer, Sandbox, answer};

/// Where a disk store keeps the blob `data` of an entry.
fn stored(sandbox: &Sandbox, store: &str, digest: &str) -> PathBuf {
    sandbox.path(store).join(&digest[..2]).join(digest).join("~data")
}

fn flip(file: &PathBuf) {
    let mut bytes = fs::read(file).unwrap();
    bytes[50] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.stdout.clone()).unwrap()
}

/// The binary with two directories as tiers.
fn tiered<'a>(sandbox: &Sandbox, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = sandbox.bare();
    for store in ["fast", "slow"] {
        command.arg("--store").arg(format!("disk:{}", sandbox.path(store).display()));
    }
    command.args(args);
    command
}

fn put_tiered(sandbox: &Sandbox, content: &str) -> String {
    let file = sandbox.file("input", content);
    answer(&mut tiered(sandbox, ["put", &file.display().to_string()])).done().trim_end().to_owned()
}

#[test]
fn sound_store_is_done() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(["verify"]).done(), "0 entries, 0 B verified: 0 damaged, 0 repaired\n");
    sandbox.put("one");
    sandbox.put_into(&["deep"], "four");
    assert_eq!(sandbox.run(["verify"]).done(), "2 entries, 7 B verified: 0 damaged, 0 repaired\n");
    let deep = sandbox.run(["verify", "--namespace", "deep"]).done();
    assert_eq!(deep, "1 entry, 4 B verified: 0 damaged, 0 repaired\n");
}

#[test]
fn damaged_entry_is_told_and_lost_and_the_next_verify_is_sound() {
    let sandbox = Sandbox::new();
    let (one, _) = (sandbox.put("one"), sandbox.put("two"));
    flip(&stored(&sandbox, "store", &one));
    let found = sandbox.run(["verify"]);
    assert_eq!((found.code, found.stderr.as_str()), (Some(1), ""));
    assert_eq!(text(&found), format!("lost {one}\n2 entries, 3 B verified: 1 damaged, 0 repaired\n"));
    sandbox.run(["get", &one]).missed();
    let kept: Vec<_> = fs::read_dir(sandbox.path("store/.quarantine")).unwrap().collect();
    assert!(kept.len() == 1 && kept[0].as_ref().unwrap().file_name().to_str().unwrap().contains(&one));
    assert_eq!(sandbox.run(["verify"]).done(), "1 entry, 3 B verified: 0 damaged, 0 repaired\n");
    sandbox.put("one");
    assert_eq!(sandbox.run(["get", &one]).done(), "one");
}

#[test]
fn damage_in_a_tier_is_repaired_from_the_other() {
    let sandbox = Sandbox::new();
    let one = put_tiered(&sandbox, "one");
    for (damaged, expected) in [
        (
            "fast",
            [
                "disk: 1 entry, 0 B verified: 1 damaged, 1 repaired",
                "disk-2: 1 entry, 3 B verified: 0 damaged, 0 repaired",
            ],
        ),
        (
            "slow",
            [
                "disk: 1 entry, 3 B verified: 0 damaged, 0 repaired",
                "disk-2: 1 entry, 0 B verified: 1 damaged, 1 repaired",
            ],
        ),
    ] {
        flip(&stored(&sandbox, damaged, &one));
        let report = answer(&mut tiered(&sandbox, ["verify"])).done();
        let all = "2 entries, 3 B verified: 1 damaged, 1 repaired";
        assert_eq!(report.lines().collect::<Vec<_>>(), [expected[0], expected[1], all]);
        assert!(stored(&sandbox, damaged, &one).is_file());
    }
    flip(&stored(&sandbox, "slow", &one));
    let found = answer(&mut tiered(&sandbox, ["verify", "--no-repair"]));
    assert_eq!(found.code, Some(1));
    assert!(!stored(&sandbox, "slow", &one).exists());
}

#[test]
fn memory_over_disk_is_verified_by_urls() {
    let sandbox = Sandbox::new();
    let one = sandbox.put("one");
    let mut command = sandbox.bare();
    command.args(["verify", "memory:", &sandbox.store()]);
    assert_eq!(
        answer(&mut command).done().lines().last(),
        Some("1 entry, 3 B verified: 0 damaged, 0 repaired")
    );
    flip(&stored(&sandbox, "store", &one));
    assert_eq!(answer(&mut command).code, Some(1), "what another process's memory had is gone with it");
}

#[test]
fn json_tells_the_same() {
    let sandbox = Sandbox::new();
    let one = put_tiered(&sandbox, "one");
    for store in ["fast", "slow"] {
        flip(&stored(&sandbox, store, &one));
    }
    let found = answer(&mut tiered(&sandbox, ["verify", "--json"]));
    assert_eq!((found.code, found.stderr.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(
        (&report["sound"], &report["damaged"], &report["repaired"]),
        (&false.into(), &1.into(), &0.into())
    );
    assert_eq!((&report["lost"][0]["digest"], &report["error"]), (&one.as_str().into(), &Value::Null));
    assert_eq!(
        (&report["tiers"][0]["name"], &report["tiers"][1]["name"]),
        (&"disk".into(), &"disk-2".into())
    );
}

#[test]
fn entry_that_cannot_be_read_is_an_error_after_the_report() {
    let sandbox = Sandbox::new();
    sandbox.put("one");
    sandbox.put("four");
    let mut command = sandbox.bare();
    command.arg("verify").arg(format!("{}?max_blob=3", sandbox.store()));
    let found = answer(&mut command);
    assert_eq!(found.code, Some(2));
    assert_eq!(text(&found), "2 entries, 3 B verified: 0 damaged, 0 repaired, 1 unreadable\n");
    assert!(found.stderr.starts_with("error: ") && found.stderr.lines().count() == 1, "{}", found.stderr);
}

#[test]
fn damage_is_told_by_the_exit_code_also_if_nobody_reads() {
    let sandbox = Sandbox::new();
    let one = sandbox.put("one");
    for code in [1, 0] {
        if code == 1 {
            flip(&stored(&sandbox, "store", &one));
        }
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.cache(["verify"]);
        let status = command.stdout(writer).status().unwrap();
        assert_eq!(status.code(), Some(code));
    }
}

#[test]
fn wrong_use_is_an_error() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(["verify", "memory:"]).failed().contains("either as URLs or with --store"));
    assert!(sandbox.run(["verify", "--blob", "x"]).failed().contains("verify takes no --blob"));
    assert!(!sandbox.path("store").exists());
}
