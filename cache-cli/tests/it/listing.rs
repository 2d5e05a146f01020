use cache::Digest;
use serde_json::Value;

use crate::sandbox::Sandbox;

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A store with three entries in the root and one below.
fn filled() -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::new();
    let mut digests: Vec<String> = ["a", "bb", "ccc"].map(|content| sandbox.put(content)).into();
    digests.sort();
    sandbox.put_into(&["te am", "build"], "dddd");
    (sandbox, digests)
}

#[test]
fn ls_prints_digest_size_and_namespace_in_ascending_order() {
    let (sandbox, digests) = filled();
    let text = sandbox.run(["ls"]).done();
    let columns: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(columns.iter().map(|line| line[0]).collect::<Vec<_>>(), digests);
    for line in &columns {
        let content = ["a", "bb", "ccc"].into_iter().find(|c| Digest::of(c).to_string() == line[0]).unwrap();
        assert_eq!(line[1..], [content.len().to_string()]);
    }
    let below = sandbox.run(["ls", "--namespace", "te am", "--recursive"]).done();
    assert!(below.ends_with("  te am/build\n"), "{below}");
    assert_eq!(sandbox.run(["ls", "--recursive"]).done().lines().count(), 4);
    assert_eq!(sandbox.run(["ls", "--namespace", "nobody"]).done(), "");
}

#[test]
fn ls_honours_prefix_and_limit() {
    let (sandbox, digests) = filled();
    let by_prefix = sandbox.run(["ls", "--prefix", &digests[1][..7]]).done();
    assert!(by_prefix.starts_with(&digests[1]) && by_prefix.lines().count() == 1, "{by_prefix}");
    let limited = sandbox.run(["ls", "--limit", "2"]).done();
    assert!(limited.starts_with(&digests[0]) && limited.lines().count() == 2, "{limited}");
    assert_eq!(sandbox.run(["ls", "--limit", "0"]).done(), "");
}

#[test]
fn ls_for_machines_is_one_object_a_line() {
    let (sandbox, digests) = filled();
    let listed = json(&sandbox.run(["--json", "ls", "--recursive"]).done());
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[0]["digest"], digests[0].as_str());
    assert_eq!(listed[0]["namespace"], serde_json::json!([]));
    assert!(listed[0]["stored_bytes"].as_u64().unwrap() > 0);
    assert_eq!(listed[3]["namespace"], serde_json::json!(["te am", "build"]));
}

#[test]
fn stat_tells_blobs_times_and_places() {
    let (sandbox, digests) = filled();
    let text = sandbox.run(["stat", &digests[0][..6]]).done();
    let value = |label: &str| {
        let line = text.lines().find(|line| line.starts_with(label));
        line.and_then(|line| line.get(15..)).unwrap_or_else(|| panic!("no {label} in {text}"))
    };
    assert_eq!(value("digest:"), digests[0]);
    assert!(value("blob:").starts_with("data  "));
    assert!(value("place:").starts_with("disk  "));
    let created = humantime::parse_rfc3339(value("created:")).unwrap();
    let modified = humantime::parse_rfc3339(value("modified:")).unwrap();
    assert!(created <= modified);
    assert!(created.elapsed().unwrap().as_secs() < 600);

    let object = &json(&sandbox.run(["stat", &digests[0], "--json"]).done())[0];
    assert_eq!(object["digest"], digests[0].as_str());
    assert_eq!(object["blobs"][0]["name"], "data");
    assert_eq!(object["bytes"], object["blobs"][0]["bytes"]);
    assert_eq!(object["created"], value("created:"));
    assert_eq!(object["places"][0]["tier"], "disk");
}

#[test]
fn rm_removes_and_is_content_with_nothing_to_remove() {
    let (sandbox, digests) = filled();
    assert_eq!(sandbox.run(["rm", &digests[0][..8]]).done(), "");
    sandbox.run(["get", &digests[0]]).missed();
    assert_eq!(sandbox.run(["rm", &digests[0][..8]]).done(), "");
    assert_eq!(sandbox.run(["rm", &digests[0]]).done(), "");
    assert_eq!(sandbox.run(["ls"]).done().lines().count(), 2);
}

#[test]
fn usage_and_clean_count_what_is_there() {
    let (sandbox, _) = filled();
    let usage = |args: &[&str]| json(&sandbox.run([&["usage", "--json"], args].concat()).done())[0].clone();
    assert_eq!((usage(&[])["entries"].as_u64(), usage(&[])["bytes"].as_u64()), (Some(4), Some(10)));
    assert_eq!(usage(&["--namespace", "te am"])["bytes"], 4);
    assert!(sandbox.run(["usage"]).done().starts_with("4 entries, 10 B"));

    let kept = sandbox.run(["clean", "--max-age", "1h"]).done();
    assert_eq!(kept, "evicted 0 entries, 0 B; kept 4 entries, 10 B\n");
    let report = &json(&sandbox.run(["clean", "--max-size", "4B", "--json"]).done())[0];
    assert_eq!(report["kept_entries"].as_u64().unwrap() + report["evicted_entries"].as_u64().unwrap(), 4);
    assert!(report["kept_bytes"].as_u64().unwrap() <= 4);
    assert!(usage(&[])["bytes"].as_u64().unwrap() <= 4);
    sandbox.run(["clean", "--max-size", "0", "--max-age", "7d"]).done();
    assert_eq!(usage(&[])["entries"], 0);
}

#[test]
fn expand_prints_the_whole_digest() {
    let (sandbox, digests) = filled();
    for len in [4, 7, 63, 64] {
        assert_eq!(sandbox.run(["expand", &digests[2][..len]]).done(), format!("{}\n", digests[2]));
    }
    let object = &json(&sandbox.run(["expand", &digests[2][..9], "--json"]).done())[0];
    assert_eq!(object["digest"], digests[2].as_str());
}
