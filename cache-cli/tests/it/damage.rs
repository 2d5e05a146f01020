use std::{
    fs,
    path::{Path, PathBuf},
};

use cache::Digest;

use crate::sandbox::Sandbox;

/// Where the disk store keeps the blob `data` of an entry in the root namespace.
fn stored(sandbox: &Sandbox, digest: &str) -> PathBuf {
    let file = sandbox.path("store").join(&digest[..2]).join(digest).join("~data");
    assert!(file.is_file(), "{} is no file", file.display());
    file
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn flipped_bit_anywhere_is_a_miss() {
    let sandbox = Sandbox::new();
    let content = b"the quick brown fox";
    let file = stored(&sandbox, &sandbox.put(content));
    let digest = Digest::of(content).to_string();
    let len = fs::read(&file).unwrap().len();
    for at in [0, 1, len / 4, len / 2, len * 3 / 4, len - 2, len - 1] {
        sandbox.put(content);
        flip(&file, at);
        sandbox.run(["get", &digest]).missed();
        sandbox.run(["get", &digest]).missed();
        sandbox.put(content);
        assert_eq!(sandbox.run(["get", &digest]).bytes(), content);
    }
}

#[test]
fn truncated_file_is_a_miss() {
    let sandbox = Sandbox::new();
    let content = b"the quick brown fox";
    let digest = sandbox.put(content);
    let file = stored(&sandbox, &digest);
    let whole = fs::read(&file).unwrap();
    for len in [0, 1, whole.len() / 2, whole.len() - 1] {
        sandbox.put(content);
        fs::write(&file, &whole[..len]).unwrap();
        sandbox.run(["get", &digest]).missed();
        sandbox.run(["get", &digest, "-o", "file"]).missed();
        assert!(!sandbox.path("file").exists());
    }
}

#[test]
fn damage_late_in_a_stream_leaves_the_old_file() {
    let sandbox = Sandbox::new();
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = sandbox.put(&content);
    let file = stored(&sandbox, &digest);
    let len = fs::read(&file).unwrap().len();
    fs::create_dir(sandbox.path("out")).unwrap();
    let old = sandbox.file("out/file", "old");

    flip(&file, len * 9 / 10);
    sandbox.run(["get", &digest, "-o", "out/file"]).missed();
    assert_eq!(fs::read_to_string(&old).unwrap(), "old");
    assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 1);

    sandbox.put(&content);
    flip(&file, len * 9 / 10);
    let answer = sandbox.run(["get", &digest]);
    // What was written before the damage was found is right, and the end says that it is not all.
    assert_ne!(answer.code, Some(0));
    assert!(answer.stdout.len() < content.len() && content.starts_with(&answer.stdout));
    assert_eq!(answer.stderr.lines().count(), usize::from(answer.code == Some(2)));
}

#[test]
fn entry_of_another_digest_is_not_believed() {
    let sandbox = Sandbox::new();
    let (one, two) = (sandbox.put("one"), sandbox.put("two"));
    fs::copy(stored(&sandbox, &one), stored(&sandbox, &two)).unwrap();
    sandbox.run(["get", &two]).missed();
    assert_eq!(sandbox.run(["get", &one]).done(), "one");
}
