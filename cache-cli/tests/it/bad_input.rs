use std::net::TcpListener;

use cache::Digest;

use crate::sandbox::{Sandbox, answer};

/// The command fails with one line that says `why`.
#[track_caller]
fn check(args: &[&str], why: &str) {
    let sandbox = Sandbox::new();
    let line = sandbox.run(args).failed();
    assert!(line.contains(why), "{why:?} is not in {line:?}");
}

#[track_caller]
fn check_store(url: &str, why: &str) {
    let sandbox = Sandbox::new();
    let line = answer(sandbox.bare().args(["usage", "--store", url])).failed();
    assert!(line.contains(why), "{why:?} is not in {line:?}");
}

#[test]
fn malformed_digests_are_named() {
    check(&["get", "xyz1"], "'x' is not a hex digit");
    check(&["get", ""], "1 to 64 hex digits");
    check(&["get", &"a".repeat(65)], "1 to 64 hex digits");
    check(&["stat", "ABCD"], "lower-case");
    check(&["rm", "ab\ncd"], "is not a hex digit");
    check(&["expand", "caf\u{e9}"], "is not a hex digit");
}

#[test]
fn short_digest_of_three_digits_is_too_short() {
    for verb in ["get", "stat", "rm", "expand"] {
        check(&[verb, "abc"], "4 digits");
    }
}

#[test]
fn ambiguous_digest_lists_candidates_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let (first, second) = twins();
    let (one, two) = (sandbox.put(&first), sandbox.put(&second));
    for verb in ["get", "stat", "rm", "expand"] {
        let line = sandbox.run([verb, &one[..4]]).failed();
        assert!(line.contains(&one) && line.contains(&two), "{line}");
    }
    assert_eq!(sandbox.run(["get", &one]).done(), first);
    assert_eq!(sandbox.run(["get", &two]).done(), second);
}

#[test]
fn malformed_names_are_refused() {
    for blob in ["", "..", "a/b", "a\\b", "a\nb", &"x".repeat(65)] {
        check(&["get", "abcd", "--blob", blob], "blob name");
    }
    for part in ["", ".", "a/b", "a\u{7}b", &"x".repeat(65)] {
        check(&["ls", "--namespace", part], "namespace part");
    }
    let deep: Vec<String> = (0..9).map(|_| "x".repeat(64)).collect();
    let mut args = vec!["ls"];
    for part in &deep {
        args.extend(["--namespace", part]);
    }
    check(&args, "512 bytes");
}

#[test]
fn malformed_sizes_ages_and_numbers_are_refused() {
    check(&["clean", "--max-size", "many"], "is not a size");
    check(&["clean", "--max-size", "1.5"], "is not a size");
    check(&["clean", "--max-size", "-1"], "is not a size");
    check(&["clean", "--max-age", "soon"], "--max-age");
    check(&["clean"], "--max-size");
    check(&["ls", "--limit", "-1"], "--limit");
    check(&["ls", "--prefix", "g"], "not a hex digit");
    check(&["serve", "--flush-interval", "0s"], "--flush-interval");
    check(&["serve", "--max-body", "big"], "is not a size");
}

#[test]
fn options_that_a_verb_cannot_honour_are_refused() {
    for verb in [&["ls"][..], &["usage"], &["rm", "abcd"], &["clean", "--max-size", "1"], &["serve"]] {
        check(&[&["--blob", "x"], verb].concat(), "--blob");
    }
    check(&["get", "abcd", "--json"], "--json");
    check(&["--blob", "a", "get", "abcd", "--blob", "b"], "given twice");
    check(&["get", "abcd", "--recursive"], "--recursive");
}

#[test]
fn malformed_command_lines_are_told_in_one_line() {
    check(&[], "subcommand");
    check(&["frobnicate"], "frobnicate");
    check(&["get"], "DIGEST");
    check(&["put", "a", "b"], "'b'");
}

#[test]
fn malformed_urls_are_refused() {
    check_store("", "");
    check_store("nonsense", "nonsense");
    check_store("ftp://host/x", "ftp");
    check_store("disk:relative/path", "");
    check_store("memory:?max_size=lots", "lots");
    check_store("memory:?max_size=-1", "");
}

#[test]
fn unknown_and_repeated_query_options_are_refused() {
    check_store("memory:?max_szie=1MB", "max_szie");
    check_store("disk:/tmp/never-made?maxsize=1MB", "maxsize");
    check_store("memory:?max_size=1MB&max_size=2MB", "max_size");
}

#[test]
fn file_that_cannot_be_put_is_named() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(["put", "absent"]).failed().contains("absent"));
    assert!(sandbox.run(["put", "."]).failed().contains("is a directory"));
}

#[test]
fn destination_that_cannot_be_written_is_named() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("x");
    assert!(sandbox.run(["get", &digest, "-o", "absent/file"]).failed().contains("absent/file"));
    assert!(sandbox.run(["get", &digest, "-o", "."]).failed().contains("is a directory"));
    assert!(sandbox.run(["get", &digest, "-o", "/dev/full"]).failed().contains("/dev/full"));
}

#[test]
fn address_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&["serve", "--listen", &address], &address);
    check(&["serve", "--listen", "nowhere"], "nowhere");
}

#[test]
fn address_that_others_can_reach_needs_a_token() {
    check(&["serve", "--listen", "0.0.0.0:0"], "CACHE_TOKEN");
    check(&["serve", "--listen", "[::]:0"], "CACHE_TOKEN");
    let sandbox = Sandbox::new();
    let line = answer(sandbox.cache(["serve", "--listen", "0.0.0.0:0"]).env("CACHE_TOKEN", " \n")).failed();
    assert!(line.contains("token"), "{line}");
    sandbox.file("empty", "\n");
    let line = sandbox.run(["serve", "--listen", "0.0.0.0:0", "--token-file", "empty"]).failed();
    assert!(line.contains("token"), "{line}");
    let line = sandbox.run(["serve", "--listen", "127.0.0.1:0", "--token-file", "absent"]).failed();
    assert!(line.contains("absent"), "{line}");
}

/// Two texts whose digests share their first four digits.
fn twins() -> (String, String) {
    let mut seen = std::collections::HashMap::new();
    for number in 0_u32.. {
        let text = number.to_string();
        if let Some(other) = seen.insert(Digest::of(&text).prefix(4), text.clone()) {
            return (other, text);
        }
    }
    panic!("no twins")
}
