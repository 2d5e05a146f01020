//! The demonstration of a stack whose bucket is sick, with short phases and a process that serves.

use std::fs;

use cache_bench::DegradedArgs;
use clap::Parser;

/// Errors and wrong values that callers got, a put that was lost and a flush that failed all fail the demonstration.
#[test]
fn callers_get_no_error_and_no_wrong_value_while_the_bucket_is_paused_and_killed_and_no_put_is_lost() {
    let out = tempfile::tempdir().unwrap();
    let args = ["degraded", "--without-docker", "--seconds", "1", "--tasks", "4", "--deadline", "5000"];
    let server = ["--server-program", env!("CARGO_BIN_EXE_cache-bench"), "--out"];
    let args = args.into_iter().chain(server).map(Into::into).chain([out.path().as_os_str().to_owned()]);
    cache_bench::degraded(&DegradedArgs::parse_from(args)).unwrap();
    let table = fs::read_to_string(out.path().join("layered-degraded.md")).unwrap();
    assert!(table.contains(" calls: 0 errors, 0 wrong values. "), "{table}");
    assert!(table.contains(" puts acknowledged, 0 of them not in the bucket in the end."), "{table}");
    // Otherwise nothing was sick.
    let phases = table.lines().skip_while(|line| !line.contains("| failures |")).skip(2);
    let failures =
        phases.filter_map(|line| line.split('|').nth(5)).map(|failures| failures.trim().parse::<u64>());
    assert!(failures.map(Result::unwrap).sum::<u64>() > 0, "{table}");
    let plot = fs::read_to_string(out.path().join("layered-degraded.svg")).unwrap();
    let plot = roxmltree::Document::parse(&plot).unwrap();
    let texts: Vec<&str> = plot.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    for phase in ["before", "paused", "unpaused", "killed", "started again"] {
        assert!(texts.contains(&phase), "{phase}: {texts:?}");
    }
}
