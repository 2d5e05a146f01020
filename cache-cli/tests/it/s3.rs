//! Every verb on a store in a bucket, and what of one is never shown.

use std::process::Command;

use cache_conformance::Report;
use cache_s3_server::{Server, ServerOptions};

use crate::sandbox::{Sandbox, answer, answer_to};

fn server() -> Server {
    Server::start(ServerOptions::new().with_bucket("bucket")).unwrap()
}

fn url(server: &Server, options: &str) -> String {
    format!("s3://bucket/team/cache?endpoint={}&allow_http=true{options}", server.endpoint())
}

/// The binary with the server's key in its environment.
fn cache(sandbox: &Sandbox, server: &Server, args: &[&str]) -> Command {
    let mut command = sandbox.bare();
    command.env("AWS_ACCESS_KEY_ID", server.key()).env("AWS_SECRET_ACCESS_KEY", server.secret()).args(args);
    command
}

#[test]
fn what_one_run_puts_the_next_ones_read_list_verify_and_remove() {
    let (sandbox, server) = (Sandbox::new(), server());
    let store = url(&server, "&owned=true");
    let run =
        |args: &[&str]| answer(&mut cache(&sandbox, &server, &[&["--store", store.as_str()], args].concat()));
    let put = |content: &[u8], args: &[&str]| {
        let args = [&["--store", store.as_str(), "put", "-"], args].concat();
        answer_to(&mut cache(&sandbox, &server, &args), content).done().trim_end().to_owned()
    };
    let small = put(b"an artifact\0\xff", &[]);
    let content: Vec<u8> = (0..3_000_019_u32).map(|n| n.to_le_bytes()[usize::from(n % 3 == 0)]).collect();
    let large = put(&content, &["--namespace", "deep"]);
    assert_eq!(run(&["get", &small[..8]]).bytes(), b"an artifact\0\xff");
    assert!(run(&["get", &large, "--namespace", "deep"]).bytes() == content);
    run(&["get", &large]).missed();

    let listed = run(&["ls", "--recursive"]).done();
    assert!(listed.contains(&small) && listed.contains(&large), "{listed}");
    assert_eq!(listed.lines().count(), 2);
    assert!(run(&["usage"]).done().contains("2 entries"));
    assert!(run(&["stat", &small[..8]]).done().contains(&small));
    assert_eq!(run(&["expand", &small[..8]]).done().trim_end(), small);
    let verified = run(&["verify"]).done();
    assert!(verified.ends_with(": 0 damaged, 0 repaired\n"), "{verified}");

    run(&["rm", &small]).done();
    run(&["get", &small]).missed();
    run(&["clean", "--max-size", "0"]).done();
    assert_eq!(run(&["ls", "--recursive"]).done(), "");
    assert!(server.contents().names("bucket").is_empty());
}

#[test]
fn what_cannot_be_used_is_an_error_of_one_line() {
    let (sandbox, server) = (Sandbox::new(), server());
    let absent = url(&server, "").replace("//bucket", "//elsewhere");
    let line = answer(&mut cache(&sandbox, &server, &["ls", "--store", &absent])).failed();
    assert!(line.contains("elsewhere"), "{line}");
    let store = url(&server, "");
    let line =
        answer(&mut cache(&sandbox, &server, &["clean", "--max-size", "0", "--store", &store])).failed();
    assert!(line.contains("open the store as its owner"), "{line}");
    let mut command = cache(&sandbox, &server, &["ls", "--store", &store]);
    let line = answer(command.env("AWS_SECRET_ACCESS_KEY", "hidden")).failed();
    assert!(!line.contains("hidden"), "{line}");
    server.stop();
    let line =
        answer(&mut cache(&sandbox, &server, &["ls", "--store", &url(&server, "&retries=0")])).failed();
    assert!(line.contains("s3://bucket/team/cache"), "{line}");
}

#[test]
fn the_suite_leaves_a_bucket_in_use_as_it_was() {
    let (sandbox, server) = (Sandbox::new(), server());
    server.contents().put("bucket", "team/cache/notes.txt", "not ours");
    let store = url(&server, "");
    let put = &mut cache(&sandbox, &server, &["put", "-", "--namespace", "conformance", "--store", &store]);
    answer_to(put, b"mine").done();
    let before = server.contents().names("bucket");
    assert_eq!(before.len(), 2);
    let groups = ["names", "cleaning", "ending"];
    let only = groups.iter().flat_map(|group| ["--only", group]);
    let args: Vec<_> = ["conformance", &store, "--json"].into_iter().chain(only).collect();
    let found = answer(&mut cache(&sandbox, &server, &args));
    assert_eq!(found.stderr, "");
    let report: Report = serde_json::from_slice(&found.stdout).unwrap();
    assert!(report.is_success() && found.code == Some(0), "{report}");
    assert_eq!(report.store, format!("{}/bucket/team/cache", server.endpoint()));
    assert_eq!(server.contents().names("bucket"), before);
}

#[test]
fn the_suite_finds_its_limits_kept_in_an_empty_one() {
    let (sandbox, server) = (Sandbox::new(), server());
    let store = url(&server, "");
    let args = ["conformance", "--exclusive", "--json", "--only", "limits", "--only", "ending", &store];
    let found = answer(&mut cache(&sandbox, &server, &args));
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""));
    let report: Report = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report.passed(), report.clauses.len(), "{report}");
    assert!(server.contents().names("bucket").is_empty());
}
