//! The reports of our stores in `docs/conformance/`, and their table in README.md, are what the suite says today.

use std::{fs, path::PathBuf};

use cache_conformance::{CLAUSES, Report};
use cache_s3_server::{Server, ServerOptions};

use crate::sandbox::{Sandbox, answer};

/// What each report is called, its store, and that store's URLs below a directory, or at a server that speaks S3.
const REPORTS: [(&str, &str, &[&str]); 5] = [
    ("memory", "memory", &["memory:"]),
    ("disk", "disk", &["disk:DIR/disk"]),
    ("redb", "redb", &["redb:DIR/entries.redb"]),
    ("layered", "memory over disk", &["memory:", "disk:DIR/layered"]),
    ("s3", "s3", &["s3://bucket/suite?endpoint=SERVER&allow_http=true"]),
];

const REGENERATE: &str = "run .ci/reports and commit what it writes";

const BEGIN: &str = "<!-- reports: written by .ci/reports -->\n";
const END: &str = "<!-- end of reports -->";

/// A file of the workspace.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn report_file(name: &str) -> PathBuf {
    file("docs/conformance").join(name).with_extension("json")
}

fn committed() -> Vec<Report> {
    let read = |(name, ..): (&str, &str, &[&str])| {
        let text = fs::read_to_string(report_file(name));
        let report = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        report.unwrap_or_else(|| panic!("there is no report {name}.json in docs/conformance: {REGENERATE}"))
    };
    REPORTS.map(read).into()
}

/// README.md before, between and after the marks.
fn readme() -> (String, String, String) {
    let text = fs::read_to_string(file("README.md")).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("README.md has no line {BEGIN}"));
    let (table, after) = rest.split_once(END).unwrap_or_else(|| panic!("README.md has no line {END}"));
    (before.to_owned(), table.to_owned(), after.to_owned())
}

fn table(reports: &[Report]) -> String {
    format!("\n{}\n", Report::table(reports))
}

#[test]
fn reports_are_of_this_suite_and_nothing_failed() {
    let expected: Vec<_> = CLAUSES.iter().map(|clause| (clause.id, clause.group)).collect();
    for (report, (_, store, _)) in committed().iter().zip(REPORTS) {
        let clauses = report.clauses.iter().map(|clause| (clause.id.as_str(), clause.group.as_str()));
        let same = clauses.eq(expected.iter().copied());
        assert!(same, "the report on {store} is not of the clauses that there are: {REGENERATE}");
        assert_eq!((report.suite.as_str(), report.store.as_str()), (Report::SUITE, store), "{REGENERATE}");
        assert!(report.is_success(), "{report}");
    }
}

#[test]
fn readme_shows_the_reports() {
    let (_, shown, _) = readme();
    assert!(shown == table(&committed()), "the table in README.md is not that of the reports: {REGENERATE}");
}

#[test]
#[ignore = "writes docs/conformance and README.md: .ci/reports runs it"]
fn regenerate() {
    let sandbox = Sandbox::new();
    let server = Server::start(ServerOptions::new().with_bucket("bucket")).unwrap();
    fs::create_dir_all(file("docs/conformance")).unwrap();
    for (name, store, urls) in REPORTS {
        let directory = sandbox.path("").display().to_string();
        let directory = directory.trim_end_matches('/');
        let urls = urls.iter().map(|url| url.replace("DIR", directory).replace("SERVER", &server.endpoint()));
        let mut command = sandbox.bare();
        command.env("AWS_ACCESS_KEY_ID", server.key()).env("AWS_SECRET_ACCESS_KEY", server.secret());
        command.args(["conformance", "--exclusive", "--json", "--name", store]).args(urls);
        let answer = answer(&mut command);
        let report: Report =
            serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| panic!("{}", answer.stderr));
        println!("{report}\n");
        // A clause to a line and more, so that a change shows as what it is.
        fs::write(report_file(name), serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
    }
    let (before, _, after) = readme();
    fs::write(file("README.md"), [&before, BEGIN, &table(&committed()), END, &after].concat()).unwrap();
}
