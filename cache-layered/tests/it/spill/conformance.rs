use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use cache_conformance::{Crash, Damage, Factory, Failures, Files, Reference, Setup};
use cache_core::{Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use tempfile::TempDir;

use super::{OpenSource, builder, durable, each_source};

/// A source over a store for spill.
struct Over(OpenSource, Reference);

#[async_trait]
impl Factory for Over {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let below = self.1.store(setup)?;
        Ok(Arc::new(builder((self.0)(setup)?, Arc::new(below)).build()?))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.1.damage()
    }

    fn failures(&self) -> Option<&dyn Failures> {
        self.1.failures()
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.1.crash()
    }
}

/// A source over a directory, which is the stack's alone.
struct OverDisk {
    open: OpenSource,
    files: Files,
    _dir: TempDir,
}

impl OverDisk {
    fn new(open: OpenSource) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), |key| {
            let digits = key.digest.to_string();
            Path::new(key.namespace.encoded()).join(&digits[..2]).join(digits)
        });
        Self { open, files, _dir: dir }
    }
}

#[async_trait]
impl Factory for OverDisk {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = DiskOptions::new(self.files.dir())
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes)
            .with_exclusive(true);
        let disk = DiskStore::open(options).await?;
        Ok(Arc::new(builder((self.open)(setup)?, Arc::new(disk)).build()?))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        Some(&self.files)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(&self.files)
    }
}

macro_rules! suites {
    ($source:ident) => {
        mod $source {
            use super::*;

            mod over_durable {
                use super::*;
                cache_conformance::suite! {
                    Over(crate::spill::$source, durable()), handles: [damage, failures, crash]
                }
            }

            mod over_volatile {
                use super::*;
                cache_conformance::suite! { Over(crate::spill::$source, Reference::volatile()) }
            }

            mod over_disk {
                use super::*;
                cache_conformance::suite! { OverDisk::new(crate::spill::$source), handles: [damage, crash] }
            }
        }
    };
}

each_source! { suites! {} }
