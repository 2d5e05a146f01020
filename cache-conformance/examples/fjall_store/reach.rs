//! A way to the stored bytes behind the store: by the engine's own means.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Damage, Files};
use cache_core::{Error, ErrorKind, Key, Result};
use fjall::Readable;
use tokio::task::spawn_blocking;

use crate::store::{Engine, FjallStore, prefix};

/// The rows of the store that is open, or else of the directory that it lay in.
pub(crate) struct Rows {
    files: Files,
    store: Mutex<Option<FjallStore>>,
    /// Open while no store is.
    own: Arc<Mutex<Option<Arc<Engine>>>>,
}

impl Rows {
    pub(crate) fn new(files: Files) -> Self {
        Self { files, store: Mutex::default(), own: Arc::default() }
    }

    /// Looks for rows in this store from now on.
    pub(crate) fn are_in(&self, store: &FjallStore) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.clone());
    }

    /// Leaves the directory to a store.
    pub(crate) async fn give_up(&self) -> Result<()> {
        let own = Arc::clone(&self.own);
        let give_up = spawn_blocking(move || drop(own.lock().unwrap_or_else(PoisonError::into_inner).take()));
        give_up.await.map_err(|panic| failed(panic.into()))
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> fjall::Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (dir, own, open) =
            (self.files.dir(), Arc::clone(&self.own), store.and_then(|store| store.engine.get()));
        let work = move || {
            if let Some(engine) = open {
                return work(&engine).map_err(|error| failed(error.into()));
            }
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            let engine = match own.take() {
                Some(engine) => engine,
                None => Arc::new(Engine::open(&dir, None)?),
            };
            let done = work(own.insert(engine));
            done.map_err(|error| failed(error.into()))
        };
        spawn_blocking(work).await.map_err(|panic| failed(panic.into()))?
    }
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(ErrorKind::Unavailable, "rows", "reach").with_source(error)
}

/// A row's key in digits: a part of it is binary.
fn object(row: &[u8]) -> String {
    row.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn row(object: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(object.get(at..at + 2)?, 16).ok();
    (0..object.len()).step_by(2).filter_map(digits).collect()
}

#[async_trait]
impl Damage for Rows {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        let prefix = prefix(key, None);
        self.with(move |engine| {
            let rows = engine.db.read_tx().prefix(&engine.rows, prefix);
            rows.map(|row| Ok(object(&row.key()?))).collect()
        })
        .await
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        let row = row(object);
        let found = self.with(move |engine| engine.rows.get(row)).await?;
        found.map(Bytes::from).ok_or_else(|| Error::invalid(format!("no such row: {object}")))
    }

    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        let row = row(object);
        self.with(move |engine| engine.rows.insert(row, bytes)).await
    }

    async fn remove(&self, object: &str) -> Result<()> {
        let row = row(object);
        self.with(move |engine| engine.rows.remove(row)).await
    }
}
