//! Store directories that cannot be used. Root can use any, so as root the binary runs as nobody.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::sandbox::{Sandbox, answer};

const NOBODY: u32 = 65_534;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The binary on the disk store, without the powers of root.
fn powerless(sandbox: &Sandbox, args: &[&str]) -> Command {
    let root = sandbox.path("");
    if fs::metadata(&root).unwrap().uid() != 0 {
        return sandbox.cache(args);
    }
    set_mode(&root, 0o755);
    let binary = sandbox.path("binary");
    if !binary.exists() {
        // By another process: a file that this one has open to write, another thread's child would hold.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_cache")).arg(&binary).status().unwrap();
        assert!(copied.success());
        set_mode(&binary, 0o755);
    }
    let mut command = sandbox.command(&binary);
    command.uid(NOBODY).gid(NOBODY).arg("--store").arg(sandbox.store()).args(args);
    command
}

#[test]
fn store_that_is_a_file_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.file("store", "not a directory");
    let file = sandbox.file("file", "x");
    for args in [vec!["usage"], vec!["ls"], vec!["get", "abcd"], vec!["put", file.to_str().unwrap()]] {
        sandbox.run(args).failed();
    }
    assert_eq!(fs::read_to_string(sandbox.path("store")).unwrap(), "not a directory");
}

#[test]
fn store_below_a_file_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.file("file", "x");
    let url = format!("disk:{}", sandbox.path("file/store").display());
    answer(sandbox.bare().args(["--store", &url, "usage"])).failed();
}

#[test]
fn unreadable_directory_is_an_error_not_a_miss() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("x");
    let store = sandbox.path("store");
    set_mode(&store, 0o000);
    let mut lines = Vec::new();
    for args in [&["get", &digest][..], &["stat", &digest], &["ls"], &["usage"], &["expand", &digest[..8]]] {
        lines.push(answer(&mut powerless(&sandbox, args)));
    }
    set_mode(&store, 0o700);
    for line in lines {
        line.failed();
    }
    assert_eq!(sandbox.run(["get", &digest]).done(), "x");
}

#[test]
fn unwritable_directory_refuses_a_put() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", "x");
    set_mode(&file, 0o644);
    fs::create_dir(sandbox.path("store")).unwrap();
    set_mode(&sandbox.path("store"), 0o555);
    answer(&mut powerless(&sandbox, &["put", "file"])).failed();
    set_mode(&sandbox.path("store"), 0o755);
    assert_eq!(sandbox.run(["ls"]).done(), "");
}
