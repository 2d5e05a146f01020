//! The store's directory, looked at from outside by the documented layout.

use std::{fs, path::Path};

use cache_core::{BlobName, Digest, Envelope, Namespace};

/// What must not be there while no store is open: temporaries, and all that is neither an entry nor the
/// store's own.
pub(crate) fn leaked(dir: &Path) -> Vec<String> {
    let mut leaked = Vec::new();
    for (name, path) in children(dir) {
        if name == ".tmp" {
            leaked.extend(children(&path).into_iter().map(|(name, _)| format!(".tmp/{name}")));
        } else if !name.starts_with('.') {
            of_namespace(&name, &path, &mut leaked);
        }
    }
    leaked
}

fn of_namespace(name: &str, path: &Path, leaked: &mut Vec<String>) {
    if Namespace::decode(name).is_some() && name.starts_with('~') {
        for (name, path) in children(path) {
            of_namespace(&name, &path, leaked);
        }
        return;
    }
    let is_shard = name.len() == 2 && name.chars().all(|digit| digit.is_ascii_hexdigit());
    if !is_shard {
        leaked.push(path.display().to_string());
        return;
    }
    for (name, path) in children(path) {
        let blobs = children(&path);
        let is_entry = name.parse::<Digest>().is_ok() && !blobs.is_empty();
        if !is_entry || blobs.iter().any(|(name, _)| BlobName::decode(name).is_none()) {
            leaked.push(path.display().to_string());
        }
    }
}

/// Names and paths in a directory; none if it is not there any more.
fn children(dir: &Path) -> Vec<(String, std::path::PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let named = |entry: fs::DirEntry| (entry.file_name().to_string_lossy().into_owned(), entry.path());
    entries.flatten().map(named).collect()
}

/// Bytes as budgets count them: of all blobs below a directory, without what seals them.
pub(crate) fn bytes(dir: &Path) -> u64 {
    let of = |path: &Path| match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Envelope::payload_len(meta.len()).unwrap_or(0),
        Ok(meta) if meta.is_dir() => bytes(path),
        _ => 0,
    };
    children(dir).iter().map(|(_, path)| of(path)).sum()
}

/// What entries hold, and what lies in temporaries.
pub(crate) fn held(dir: &Path) -> (u64, u64) {
    let (mut entries, mut temporary) = (0, 0);
    for (name, path) in children(dir) {
        match name.as_str() {
            ".tmp" => temporary += bytes(&path),
            name if name.starts_with('.') => {}
            _ => entries += bytes(&path),
        }
    }
    (entries, temporary)
}

/// Leaves the temporaries of a process that died.
pub(crate) fn plant_dead_temporaries(dir: &Path) {
    let dead = dir.join(".tmp/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(dead.join("entry")).unwrap();
    fs::write(dead.join("entry/~data"), "half a value").unwrap();
    fs::write(dead.join("gone"), "a file").unwrap();
    fs::write(dead.with_extension("lock"), "").unwrap();
}
