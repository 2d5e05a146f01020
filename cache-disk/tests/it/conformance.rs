use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use cache_conformance::{Crash, Damage, Factory, Files, Setup};
use cache_core::{Result, Store};
use cache_disk::{DiskOptions, DiskStore};
use tempfile::TempDir;

struct InTempDir {
    files: Files,
    exclusive: bool,
    temporary: bool,
    _dir: TempDir,
}

impl InTempDir {
    fn new(exclusive: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path(), |key| {
            let digits = key.digest.to_string();
            Path::new(key.namespace.encoded()).join(&digits[..2]).join(digits)
        });
        Self { files, exclusive, temporary: false, _dir: dir }
    }

    fn temporary() -> Self {
        Self { temporary: true, ..Self::new(false) }
    }
}

#[async_trait]
impl Factory for InTempDir {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = DiskOptions::new(self.files.dir())
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes)
            .with_exclusive(self.exclusive)
            .with_temporary(self.temporary);
        Ok(Arc::new(DiskStore::open(options).await?))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        Some(&self.files)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(&self.files)
    }
}

cache_conformance::suite! { InTempDir::new(false), handles: [damage, crash] }

mod exclusive {
    use super::InTempDir;

    cache_conformance::suite! { InTempDir::new(true), handles: [damage, crash] }
}

mod temporary {
    use super::InTempDir;

    cache_conformance::suite! { InTempDir::temporary(), handles: [damage] }
}
