//! File systems that are full, or that may not be written to.

use std::{io, path::Path};

use cache_core::{
    BlobName, Error, ErrorKind, GetOptions, KeyManagement, Namespace, PutEntry, PutOptions, Store, StoreExt,
};
use cache_disk::{DiskOptions, DiskStore};
use libtest_mimic::{Completion, Failed};
use tempfile::TempDir;

use super::{
    ground::{mount, unmount, when_free},
    script::key,
    tree,
    value::{value, version},
    verdict::{Tally, Verdict},
};

/// A file system in memory.
struct Small(TempDir);

impl Small {
    fn new(options: &str) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        mount(&["-t", "tmpfs", "-o", options, "tmpfs"], dir.path())?;
        Ok(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(self.0.path());
    }
}

fn needs(error: &io::Error) -> Completion {
    Completion::ignored_with(format!("needs root and a tmpfs to mount: {error}"))
}

pub(crate) fn a_full_file_system_harms_nothing() -> Result<Completion, Failed> {
    fill("a tmpfs of 2 MiB", "size=2m", 30_000)
}

pub(crate) fn a_file_system_without_inodes_harms_nothing() -> Result<Completion, Failed> {
    fill("a tmpfs of 200 inodes", "nr_inodes=200", 300)
}

fn fill(what: &str, options: &str, len: usize) -> Result<Completion, Failed> {
    let small = match Small::new(options) {
        Ok(small) => small,
        Err(error) => return Ok(needs(&error)),
    };
    let dir = small.0.path().join("store");
    let mut verdict = Verdict::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(fill_up(&dir, len, &mut verdict))?;
    drop(runtime);
    verdict.leaked.extend(tree::leaked(&dir));
    let mut tally = Tally::default();
    tally.count(what, &verdict);
    tally.report(what, "")
}

/// Puts until there is no more room, again and again, with some evictions in between.
async fn fill_up(dir: &Path, len: usize, verdict: &mut Verdict) -> Result<(), Failed> {
    let store = DiskStore::open(DiskOptions::new(dir)).await.map_err(|error| error.to_line())?;
    let (mut there, mut refused) = (std::collections::BTreeMap::new(), 0);
    for round in 0..400_u64 {
        let number = u32::try_from(round % 150).unwrap();
        let bytes = value(number, "data", round + 1, len);
        match store.put(&key(number), PutEntry::data(bytes), PutOptions::default()).await {
            Ok(_) => _ = there.insert(number, round + 1),
            Err(error) => {
                refused += 1;
                if error.kind() != ErrorKind::NoSpace {
                    verdict.broken.push(format!("a put without room: {}", error.to_line()));
                }
                if round % 5 == 0
                    && let Some((first, _)) = there.pop_first()
                    && let Err(error) = store.evict(&key(first)).await
                {
                    verdict.broken.push(format!("an eviction without room: {}", error.to_line()));
                }
            }
        }
        if round % 20 == 0 {
            check(&store, &there, verdict).await;
        }
    }
    check(&store, &there, verdict).await;
    if refused == 0 || there.is_empty() {
        verdict.broken.push(format!("{refused} puts refused, {} entries there", there.len()));
    }
    // With room it works on.
    for number in there.keys().take(there.len() / 2) {
        store.evict(&key(*number)).await.map_err(|error| error.to_line())?;
    }
    store.put_bytes(&key(0), value(0, "data", 7, len).into()).await.map_err(|error| error.to_line())?;
    store.flush().await.map_err(|error| error.to_line())?;
    store.close(None).await.map_err(|error| error.to_line())?;
    Ok(())
}

async fn check(store: &DiskStore, there: &std::collections::BTreeMap<u32, u64>, verdict: &mut Verdict) {
    for (number, put) in there {
        match store.get_bytes(&key(*number), &BlobName::DATA).await {
            Ok(Some(bytes)) if version(*number, "data", &bytes) == Some(*put) => {}
            Ok(Some(_)) => verdict.torn.push(format!("key {number} has other bytes than version {put}")),
            Ok(None) => verdict.lost.push(format!("key {number}")),
            Err(error) => verdict.lost.push(format!("key {number}: {}", error.to_line())),
        }
    }
}

/// A store on a file system that is mounted read-only is told by `Denied`, and serves or refuses, but
/// breaks nothing.
pub(crate) fn a_read_only_file_system_is_denied() -> Result<Completion, Failed> {
    let small = match Small::new("size=16m") {
        Ok(small) => small,
        Err(error) => return Ok(needs(&error)),
    };
    let dir = small.0.path().join("store");
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut verdict = Verdict::default();
    let put = async {
        let store = DiskStore::open(DiskOptions::new(&dir)).await?;
        for number in 0..20 {
            store.put_bytes(&key(number), value(number, "data", 1, 3000).into()).await?;
        }
        store.close(None).await
    };
    runtime.block_on(put).map_err(|error| error.to_line())?;
    when_free(|| mount(&["-o", "remount,ro"], small.0.path()))?;
    match runtime.block_on(DiskStore::open(DiskOptions::new(&dir))) {
        Err(error) if error.kind() == ErrorKind::Denied => {}
        Err(error) => verdict.broken.push(format!("open: {}", error.to_line())),
        Ok(store) => runtime.block_on(use_read_only(&store, &mut verdict)),
    }
    mount(&["-o", "remount,rw"], small.0.path())?;
    let look = async {
        let store = DiskStore::open(DiskOptions::new(&dir)).await?;
        for number in 0..20 {
            let found = store.get_bytes(&key(number), &BlobName::DATA).await?;
            if found.and_then(|bytes| version(number, "data", &bytes)) != Some(1) {
                verdict.lost.push(format!("key {number}"));
            }
        }
        store.close(None).await
    };
    runtime.block_on(look).map_err(|error| error.to_line())?;
    drop(runtime);
    verdict.leaked.extend(tree::leaked(&dir));
    let mut tally = Tally::default();
    tally.count("read-only", &verdict);
    tally.report("a tmpfs mounted read-only", "")
}

async fn use_read_only(store: &DiskStore, verdict: &mut Verdict) {
    let denied = |what: &str, outcome: Result<(), Error>| match outcome {
        Err(error) if error.kind() == ErrorKind::Denied => None,
        other => Some(format!("{what} on a read-only file system: {other:?}")),
    };
    let put = store.put_bytes(&key(0), value(0, "data", 2, 3000).into()).await;
    verdict.broken.extend(denied("put", put.map(drop)));
    verdict.broken.extend(denied("evict", store.evict(&key(0)).await));
    match store.get_entry(&key(0), GetOptions::default()).await {
        Ok(Some(_)) => {}
        other => verdict.broken.push(format!("get on a read-only file system: {other:?}")),
    }
    match store.usage(&Namespace::root()).await {
        Ok(usage) if usage.entries == 20 => {}
        other => verdict.broken.push(format!("usage on a read-only file system: {other:?}")),
    }
    _ = store.close(None).await;
}
