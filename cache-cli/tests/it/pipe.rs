use std::{
    fs::File,
    io::Read,
    process::{Command, Stdio},
};

use crate::sandbox::Sandbox;

/// Runs a command whose reader goes away after `bytes` bytes.
fn check(command: &mut Command, bytes: usize) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut vec![0; bytes]).unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn reader_that_goes_away_ends_the_command_quietly() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put(vec![1; 10 << 20]);
    check(&mut sandbox.cache(["get", &digest]), 10);
    check(&mut sandbox.cache(["get", &digest]), 0);
    check(&mut sandbox.cache(["ls"]), 0);
    check(&mut sandbox.cache(["--help"]), 0);
}

#[test]
fn full_device_is_an_error_in_one_line() {
    let sandbox = Sandbox::new();
    let digest = sandbox.put("x");
    for args in [&["get", &digest][..], &["ls"], &["--version"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = sandbox.cache(args);
        let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains("standard output"), "{stderr}");
    }
}
