//! Runs everything in tiny sizes, and reads what it leaves.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

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

    let report: Value = serde_json::from_slice(&fs::read(out.path().join("memory.json")).unwrap()).unwrap();
    let table = fs::read_to_string(out.path().join("memory.md")).unwrap();
    assert_eq!(report["quick"], true);
    assert!(report["machine"]["cores"].as_u64().unwrap() >= 1);
    let sections = report["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 12);
    for section in sections {
        let name = section["name"].as_str().unwrap();
        let plot = format!("memory-{name}.svg");
        assert!(table.contains(&format!("## {name}: ")) && table.contains(&format!("]({plot})")), "{name}");
        let svg = fs::read_to_string(out.path().join(plot)).unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "svg");
        let texts: Vec<&str> = document.descendants().filter_map(|node| node.text()).map(str::trim).collect();
        for measurement in section["measurements"].as_array().unwrap() {
            assert!(texts.contains(&measurement["title"].as_str().unwrap()), "{name}: {measurement}");
            let series = measurement["series"].as_array().unwrap();
            assert!(!series.is_empty(), "{name} measured nothing");
            for series in series {
                let [min, median, max] = ["min", "median", "max"].map(|end| series[end].as_f64().unwrap());
                assert!(min <= median && median <= max, "{name}: {series}");
                assert!(texts.contains(&series["name"].as_str().unwrap()), "{name}: {series}");
            }
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
