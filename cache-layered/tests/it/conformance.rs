use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use cache_conformance::{Crash, Damage, Factory, Failures, Files, Reference, Setup, fault::Flaky};
use cache_core::{Powers, Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::{LayeredStore, TierOptions, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use cache_redb::{RedbOptions, RedbStore};
use cache_s3::{S3Options, S3Store, StoreOptions};
use cache_s3_server::{Contents, Server, ServerOptions};
use tempfile::TempDir;

fn memory(setup: &Setup) -> Result<MemoryStore> {
    let options =
        MemoryOptions::unlimited().with_max_bytes(setup.max_bytes).with_max_blob_bytes(setup.max_blob_bytes);
    MemoryStore::open(options)
}

/// What the tiers are opened from: all of them can be made to fail, and the one that is a disk can be damaged
/// and killed.
struct Tiers {
    files: Files,
    /// Around each tier, so that the n-th call of all of them together fails.
    faults: Flaky<MemoryStore>,
    _dir: TempDir,
}

impl Tiers {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), |key| {
            let digits = key.digest.to_string();
            Path::new(key.namespace.encoded()).join(&digits[..2]).join(digits)
        });
        Self { files, faults: Flaky::new(memory(&Setup::default()).unwrap()), _dir: dir }
    }

    fn memory(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.faults.also(memory(setup)?)))
    }

    async fn disk(&self, setup: &Setup, exclusive: bool) -> Result<Arc<dyn Store>> {
        let options = DiskOptions::new(self.files.dir())
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes)
            .with_exclusive(exclusive);
        Ok(Arc::new(self.faults.also(DiskStore::open(options).await?)))
    }
}

struct MemoryOverDisk(Tiers);

impl MemoryOverDisk {
    async fn open(tiers: &Tiers, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder().tier("memory", tiers.memory(setup)?);
        Ok(Arc::new(builder.tier("disk", tiers.disk(setup, false).await?).build()?))
    }
}

/// A stack is a store, and so can be a tier.
struct Nested(Tiers);

impl Nested {
    async fn open(tiers: &Tiers, setup: &Setup) -> Result<Arc<dyn Store>> {
        let inner = MemoryOverDisk::open(tiers, setup).await?;
        let builder = LayeredStore::builder().tier("memory", tiers.memory(setup)?);
        Ok(Arc::new(builder.tier("inner", inner).build()?))
    }
}

macro_rules! suite_over {
    ($module:ident: $stack:ident) => {
        suite_over! { $module: $stack, |stack| &stack.0.files }
    };
    ($module:ident: $stack:ident, |$crashes:ident| $crash:expr) => {
        #[async_trait]
        impl Factory for $stack {
            async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
                Self::open(&self.0, setup).await
            }

            fn damage(&self) -> Option<&dyn Damage> {
                Some(&self.0.files)
            }

            fn failures(&self) -> Option<&dyn Failures> {
                Some(&self.0.faults)
            }

            fn crash(&self) -> Option<&dyn Crash> {
                let $crashes = self;
                Some($crash)
            }
        }

        mod $module {
            use super::*;
            cache_conformance::suite! { $stack(Tiers::new()), handles: [damage, failures, crash] }
        }
    };
}

/// What is put waits in memory until it is written to the disk.
struct DiskBehindMemory(Tiers);

impl DiskBehindMemory {
    async fn open(tiers: &Tiers, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder().tier("memory", tiers.memory(setup)?);
        // What waits is one process's own, and so is the directory.
        let disk = tiers.disk(setup, true).await?;
        Ok(Arc::new(builder.tier("disk", disk).write(WritePolicy::Behind).build()?))
    }
}

/// All files below a directory, and when they were written.
fn files(dir: &Path) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files(&path));
        }
        found.insert(path, entry.metadata().and_then(|meta| meta.modified()).ok());
    }
    found
}

#[async_trait]
impl Crash for DiskBehindMemory {
    /// The directory is copied file by file, which would mix what is there before and after a write: so not while what
    /// waits is being written.
    async fn crash(&self) -> Result<()> {
        let dir = self.0.files.dir();
        let mut before = files(&dir);
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            let now = files(&dir);
            if now == before {
                break;
            }
            before = now;
        }
        self.0.files.crash().await
    }
}

suite_over! { memory_over_disk: MemoryOverDisk }
suite_over! { disk_behind_memory: DiskBehindMemory, |stack| stack }
suite_over! { nested: Nested }

struct MemoryOverRedb {
    files: Files,
    _dir: TempDir,
}

impl MemoryOverRedb {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // No file is of one entry alone.
        Self { files: Files::new(dir.path(), |_| "none".into()), _dir: dir }
    }
}

#[async_trait]
impl Factory for MemoryOverRedb {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = RedbOptions::new(self.files.dir().join("entries.redb"))
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        let redb = RedbStore::open(options).await?;
        let builder = LayeredStore::builder().tier("memory", Arc::new(memory(setup)?));
        Ok(Arc::new(builder.tier("redb", Arc::new(redb)).build()?))
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(&self.files)
    }
}

mod memory_over_redb {
    use super::*;
    cache_conformance::suite! { MemoryOverRedb::new(), handles: [crash] }
}

/// What a fleet has: memory, a disk, and a bucket that all share.
struct MemoryDiskAndS3 {
    tiers: Tiers,
    contents: Contents,
    server: Mutex<Arc<Server>>,
}

impl MemoryDiskAndS3 {
    fn new() -> Self {
        let contents = Contents::default();
        Self { tiers: Tiers::new(), server: Mutex::new(Self::serve(&contents)), contents }
    }

    fn serve(contents: &Contents) -> Arc<Server> {
        let options = ServerOptions::new().with_bucket("bucket").with_contents(contents.clone());
        Arc::new(Server::start(options).unwrap())
    }
}

#[async_trait]
impl Factory for MemoryDiskAndS3 {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let server = Arc::clone(&self.server.lock().unwrap());
        let limits = StoreOptions::default()
            .with_owned(true)
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        let options = S3Options::new("bucket")
            .with_endpoint(server.endpoint())
            .with_region("us-east-1")
            .with_credentials(server.key(), server.secret())
            .with_allow_http(true)
            .with_store(limits);
        let s3 = S3Store::open(options).await?;
        let builder = LayeredStore::builder()
            .tier("memory", self.tiers.memory(setup)?)
            .tier("disk", self.tiers.disk(setup, false).await?)
            .tier("s3", Arc::new(self.tiers.faults.also(s3)));
        Ok(Arc::new(builder.options(TierOptions::default().with_deadline(Duration::from_secs(60))).build()?))
    }

    fn failures(&self) -> Option<&dyn Failures> {
        Some(&self.tiers.faults)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(self)
    }
}

#[async_trait]
impl Crash for MemoryDiskAndS3 {
    async fn crash(&self) -> Result<()> {
        self.tiers.files.crash().await?;
        // The next one listens elsewhere, so that nothing of the old stack gets through.
        let mut server = self.server.lock().unwrap();
        server.crash();
        *server = Self::serve(&self.contents);
        Ok(())
    }
}

mod memory_disk_and_s3 {
    use super::*;
    cache_conformance::suite! { MemoryDiskAndS3::new(), handles: [failures, crash] }
}

/// What lies below is as far as a server: no reads protect there, and what a clean goes by is when it was written.
struct MemoryOverServer(Reference);

impl MemoryOverServer {
    fn new() -> Self {
        let mut powers = Powers::default();
        (powers.durable, powers.shared, powers.bounded, powers.streaming) = (true, true, true, true);
        Self(Reference::with_powers(powers))
    }
}

#[async_trait]
impl Factory for MemoryOverServer {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder().tier("memory", Arc::new(memory(setup)?));
        Ok(Arc::new(builder.tier("server", Arc::new(self.0.store(setup)?)).build()?))
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.0.crash()
    }
}

mod memory_over_server {
    use super::*;
    cache_conformance::suite! { MemoryOverServer::new(), handles: [crash] }
}
