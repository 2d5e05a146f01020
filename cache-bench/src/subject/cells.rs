use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cache_core::Digest;
use tokio::sync::OnceCell;

use crate::subject::{Computes, Subject, digest_hash::DigestHash};

type Map = HashMap<Digest, Arc<OnceCell<Bytes>>, DigestHash>;

/// A cell per digest behind one lock: the least that shares a computation.
#[derive(Debug, Default)]
pub(crate) struct Cells(Mutex<Map>);

impl Cells {
    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subject for Cells {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        self.map().get(digest)?.get().cloned()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.map().insert(digest, Arc::new(OnceCell::from(value)));
        true
    }
}

impl Computes for Cells {
    async fn get_or_compute<F, Fut>(&self, digest: Digest, compute: F) -> Option<Bytes>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Bytes> + Send + 'static,
    {
        let cell = Arc::clone(self.map().entry(digest).or_default());
        Some(cell.get_or_init(compute).await.clone())
    }
}
