use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use cache::Digest;

use crate::sandbox::{Sandbox, answer, answer_to};

#[test]
fn put_prints_the_digest_alone_and_eight_digits_get_the_content_back() {
    let sandbox = Sandbox::new();
    let content = b"an artifact\0with any bytes\xff\n";
    let file = sandbox.file("artifact", content);
    let printed = sandbox.run([&"put".into(), &file]).done();
    assert_eq!(printed, format!("{}\n", Digest::of(content)));
    assert_eq!(sandbox.run(["get", &printed[..8]]).bytes(), content);
    assert_eq!(sandbox.run(["get", printed.trim_end()]).bytes(), content);
}

#[test]
fn put_of_standard_input_is_the_same_as_of_a_file() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("from a pipe");
    assert_eq!(digest, Digest::of("from a pipe").to_string());
    assert_eq!(sandbox.run(["get", &digest]).done(), "from a pipe");
}

#[test]
fn empty_file_is_a_value() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("");
    assert_eq!(sandbox.run(["get", &digest]).done(), "");
}

#[test]
fn content_larger_than_one_piece_round_trips_into_a_file() {
    let sandbox = Sandbox::new();
    let content: Vec<u8> = (0..10_000_019_u32).map(|n| n.to_le_bytes()[usize::from(n % 3 == 0)]).collect();
    let file = sandbox.file("large", &content);
    let digest = sandbox.run([&"put".into(), &file]).done();
    assert_eq!(sandbox.run(["get", &digest[..12], "-o", "copy"]).done(), "");
    assert!(fs::read(sandbox.path("copy")).unwrap() == content);
    assert!(sandbox.run(["get", &digest[..12]]).bytes() == content);
}

#[test]
fn get_replaces_a_file_and_leaves_nothing_beside_it() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("new");
    fs::create_dir(sandbox.path("out")).unwrap();
    let file = sandbox.file("out/file", "old");
    symlink(&file, sandbox.path("link")).unwrap();
    sandbox.run(["get", &digest, "--output", "link"]).done();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert!(sandbox.path("link").is_symlink());
    assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 1);
}

#[test]
fn get_keeps_the_permissions_of_the_file_that_it_replaces() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("new");
    let file = sandbox.file("private", "old");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.run(["get", &digest, "-o", "private"]).done();
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn get_through_a_link_that_leads_nowhere_is_an_error() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("new");
    symlink(sandbox.path("absent"), sandbox.path("link")).unwrap();
    sandbox.run(["get", &digest, "-o", "link"]).failed();
    assert!(sandbox.path("link").is_symlink() && !sandbox.path("absent").exists());
}

#[test]
fn get_writes_into_a_device_and_does_not_replace_it() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("gone");
    sandbox.run(["get", &digest, "-o", "/dev/null"]).done();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    assert_eq!(sandbox.run(["get", &digest, "-o", "-"]).done(), "gone");
}

#[test]
fn absent_artifact_is_a_miss_and_leaves_no_file() {
    let sandbox = Sandbox::new();
    sandbox.put("something else");
    let absent = Digest::of("absent").to_string();
    let old = sandbox.file("old", "old");
    for digest in [&absent, &absent[..8]] {
        sandbox.run(["get", digest]).missed();
        sandbox.run(["get", digest, "-o", "new"]).missed();
        sandbox.run(["get", digest, "-o", "old"]).missed();
        sandbox.run(["stat", digest]).missed();
    }
    sandbox.run(["expand", &absent[..8]]).missed();
    assert!(!sandbox.path("new").exists());
    assert_eq!(fs::read_to_string(old).unwrap(), "old");
}

#[test]
fn namespaces_nest_and_do_not_mix() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put_into(&["team", "build"], "inside");
    sandbox.run(["get", &digest]).missed();
    sandbox.run(["get", &digest, "--namespace", "team"]).missed();
    let args = ["--namespace", "team", "get", &digest, "--namespace", "build"];
    assert_eq!(sandbox.run(args).done(), "inside");
}

#[test]
fn named_blobs_live_side_by_side() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("same");
    let named = answer_to(&mut sandbox.cache(["put", "-", "--blob", "stdout"]), b"same").done();
    assert_eq!(named.trim_end(), digest);
    assert_eq!(sandbox.run(["get", &digest, "--blob", "stdout"]).done(), "same");
    assert_eq!(sandbox.run(["get", &digest]).done(), "same");
    sandbox.run(["get", &digest, "--blob", "stderr"]).missed();
}

#[test]
fn tiers_may_be_named_before_and_after_the_verb() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", "tiered");
    let args = ["--store", "memory:?max_size=1MB", "put", "file", "--store", &sandbox.store()];
    let digest = answer(sandbox.bare().args(args)).done();
    assert_eq!(digest.trim_end(), Digest::of(fs::read(file).unwrap()).to_string());
    let after = ["get", &digest[..10], "--store", "memory:", "--store", &sandbox.store()];
    assert_eq!(answer(sandbox.bare().args(after)).done(), "tiered");
    let before = ["--store", &sandbox.store(), "get", &digest[..10]];
    assert_eq!(answer(sandbox.bare().args(before)).done(), "tiered");
}

#[test]
fn stores_come_from_the_environment_unless_they_are_given() {
    let sandbox = Sandbox::new();
    let other = format!("disk:{}", sandbox.path("other").display());
    let tiers = format!(" memory:?max_size=1MB\n{other} ");
    let digest = answer_to(sandbox.bare().env("CACHE_STORE", &tiers).args(["put", "-"]), b"x").done();
    let get = ["get", &digest[..8]];
    assert_eq!(answer(sandbox.bare().env("CACHE_STORE", &other).args(get)).done(), "x");
    answer(sandbox.cache(get).env("CACHE_STORE", &other)).missed();
}

#[test]
fn default_store_lies_in_the_users_cache_directory() {
    let sandbox = Sandbox::new();
    let digest = answer_to(sandbox.bare().args(["put", "-"]), b"mine").done();
    assert!(sandbox.path("xdg/digest-cache").is_dir());
    assert_eq!(answer(sandbox.bare().args(["get", &digest[..8]])).done(), "mine");

    let odd = sandbox.path("odd %41?max_size=0#x");
    answer_to(sandbox.bare().env("XDG_CACHE_HOME", &odd).args(["put", "-"]), b"mine").done();
    assert!(odd.join("digest-cache").is_dir());

    answer_to(sandbox.bare().env("XDG_CACHE_HOME", "relative").args(["put", "-"]), b"mine").done();
    assert!(sandbox.path("home/.cache/digest-cache").is_dir());
    assert!(!sandbox.path("relative").exists());
}

#[test]
fn refused_put_is_an_error_with_the_reason() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", [1; 100]);
    let small = format!("{}?max_size=10", sandbox.store());
    for stores in [&["--store", &small][..], &["--store", "memory:", "--store", &small]] {
        let line = answer(sandbox.bare().args(stores).arg("put").arg(&file)).failed();
        assert!(line.contains("was not stored: "), "{line}");
    }
    sandbox.run(["get", &Digest::of([1; 100]).to_string()]).missed();
}
