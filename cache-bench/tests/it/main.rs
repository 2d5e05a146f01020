//! Runs everything in tiny sizes, and reads what it leaves.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test that fails may panic")]

mod degraded;

use std::{fs, path::Path, process::Command};

use serde_json::Value;

fn bench(arguments: &[&str], out: &Path) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_cache-bench"))
        .args(arguments)
        .args(["--heap-program", env!("CARGO_BIN_EXE_cache-bench-heap"), "--out"])
        .arg(out)
        .output()
        .unwrap()
}

#[test]
fn quick_run_leaves_figures_table_and_plots() {
    let out = tempfile::tempdir().unwrap();
    let ran = bench(&["memory", "--quick"], out.path());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    check_results(out.path(), "memory", 12);
}

#[test]
fn quick_run_on_the_disk_says_where_its_files_were_and_leaves_none() {
    let (out, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let quick = ["disk", "--quick", "--entries", "2000", "--only", "hit", "large", "put", "durable", "full"];
    let ran = bench(&[&quick[..], &["--dir", files.path().to_str().unwrap()]].concat(), out.path());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report = check_results(out.path(), "disk", 5);
    assert!(report["files_on"].as_str().unwrap().ends_with("in a directory that was named"), "{report}");
    assert_eq!(fs::read_dir(files.path()).unwrap().count(), 0);
}

#[test]
fn quick_run_makes_a_file_system_or_says_why_not() {
    let out = tempfile::tempdir().unwrap();
    let ran = bench(&["disk", "--quick", "--only", "durable"], out.path());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report = check_results(out.path(), "disk", 1);
    let files_on = report["files_on"].as_str().unwrap();
    assert!(files_on.contains("made anew") || files_on.contains("could be made ("), "{files_on}");
}

#[test]
fn quick_run_asks_a_server_of_its_own() {
    let out = tempfile::tempdir().unwrap();
    let ran = bench(&["s3", "--quick"], out.path());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report = check_results(out.path(), "s3", 6);
    let requests = report["sections"][0]["measurements"].as_array().unwrap();
    for comparison in requests.iter().flat_map(|operation| operation["comparisons"].as_array().unwrap()) {
        assert_eq!(comparison["verdict"], "met", "{comparison}");
    }
}

/// The results of a run, which name each benchmark and each figure in all of their forms.
fn check_results(out: &Path, set: &str, benchmarks: usize) -> Value {
    let report: Value = serde_json::from_slice(&fs::read(out.join(format!("{set}.json"))).unwrap()).unwrap();
    let table = fs::read_to_string(out.join(format!("{set}.md"))).unwrap();
    assert_eq!(report["quick"], true);
    assert!(report["machine"]["cores"].as_u64().unwrap() >= 1);
    let sections = report["sections"].as_array().unwrap();
    assert_eq!(sections.len(), benchmarks);
    for section in sections {
        let name = section["name"].as_str().unwrap();
        let plot = format!("{set}-{name}.svg");
        assert!(table.contains(&format!("## {name}: ")) && table.contains(&format!("]({plot})")), "{name}");
        check_plot(&fs::read_to_string(out.join(plot)).unwrap(), section);
    }
    report
}

fn check_plot(svg: &str, section: &Value) {
    let document = roxmltree::Document::parse(svg).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    for measurement in section["measurements"].as_array().unwrap() {
        assert!(texts.contains(&measurement["title"].as_str().unwrap()), "{measurement}");
        let series = measurement["series"].as_array().unwrap();
        assert!(!series.is_empty(), "{measurement}");
        for series in series {
            let [min, median, max] = ["min", "median", "max"].map(|end| series[end].as_f64().unwrap());
            assert!(min <= median && median <= max, "{series}");
            assert!(texts.contains(&series["name"].as_str().unwrap()), "{series}");
        }
    }
}

#[test]
fn only_runs_what_it_names() {
    let out = tempfile::tempdir().unwrap();
    let ran = bench(&["memory", "--quick", "--only", "expand", "miss"], out.path());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: Value = serde_json::from_slice(&fs::read(out.path().join("memory.json")).unwrap()).unwrap();
    let names: Vec<&str> = report["sections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|section| section["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["expand", "miss"]);
}

#[test]
fn unknown_names_are_refused_before_anything_runs() {
    let out = tempfile::tempdir().unwrap();
    let ran = bench(&["memory", "--quick", "--only", "nonsense"], out.path());
    assert!(!ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("no benchmark \"nonsense\""));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}
