use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use cache_conformance::{Crash, Damage, Factory, Failures, Files, Reference, Setup, fault::Flaky};
use cache_core::{Powers, Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::LayeredStore;
use cache_memory::{MemoryOptions, MemoryStore};
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

    async fn disk(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = DiskOptions::new(self.files.dir())
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(self.faults.also(DiskStore::open(options).await?)))
    }
}

struct MemoryOverDisk(Tiers);

impl MemoryOverDisk {
    async fn open(tiers: &Tiers, setup: &Setup) -> Result<Arc<dyn Store>> {
        let builder = LayeredStore::builder().tier("memory", tiers.memory(setup)?);
        Ok(Arc::new(builder.tier("disk", tiers.disk(setup).await?).build()?))
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
                Some(&self.0.files)
            }
        }

        mod $module {
            use super::*;
            cache_conformance::suite! { $stack(Tiers::new()), handles: [damage, failures, crash] }
        }
    };
}

suite_over! { memory_over_disk: MemoryOverDisk }
suite_over! { nested: Nested }

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
