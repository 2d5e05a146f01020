use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use cache_core::{Clock, Counters, EntryMeta, Error, ErrorKind, Key, Result};
use object_store::path::Path;

use crate::{
    StoreOptions,
    budget::Budget,
    client::Client,
    failure::{Absence, Failure},
    gate::Gate,
    locks::KeyLocks,
    object::Layout,
    read::Damage,
    recent::RecentPuts,
};

/// What all clones of a store share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) options: StoreOptions,
    pub(crate) client: Client,
    pub(crate) layout: Layout,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Gate,
    pub(crate) locks: KeyLocks,
    pub(crate) recent: RecentPuts,
    pub(crate) budget: Option<Budget>,
    /// Whether the server honours conditions on puts.
    pub(crate) is_conditional: bool,
    /// Whether the server answers the last bytes of an object without being told how long it is.
    pub(crate) knows_suffixes: AtomicBool,
    /// Puts that no flush has told of.
    pub(crate) unflushed: AtomicU64,
    /// One clean or eviction at a time.
    pub(crate) cleaning: Arc<tokio::sync::Mutex<()>>,
}

impl Engine {
    /// The object of an entry.
    pub(crate) fn path(&self, key: &Key) -> Result<Path> {
        let name = self.layout.name(key);
        Path::parse(&name)
            .map_err(|error| Error::invalid(format!("no object can be named {name:?}: {error}")))
    }

    pub(crate) fn error(&self, failure: Failure, operation: &'static str, key: &Key) -> Error {
        failure.at(operation).into_error(Some(key))
    }

    /// Where an entry lies.
    pub(crate) fn placed(&self, meta: EntryMeta) -> EntryMeta {
        let name = self.layout.name(&meta.key);
        let name = name.strip_prefix(self.layout.prefix()).unwrap_or_default();
        let location = format!("{}/{name}", self.client.location().trim_end_matches('/'));
        meta.with_place("s3", location)
    }

    /// Removes an entry that is damaged, unless it was replaced meanwhile, or only what came over the wire was.
    pub(crate) async fn forsake(self: &Arc<Self>, key: &Key, damage: Damage) {
        let (engine, key) = (Arc::clone(self), key.clone());
        let work = async move {
            let _locked = engine.locks.lock(&key).await;
            if engine.is_damaged(&key, &damage).await {
                tracing::warn!(store = "s3", %key, "an entry is damaged and is removed");
                // If it fails, who reads it next tries again.
                _ = engine.delete("evict", &key).await;
            }
            Ok(())
        };
        // A closed store removes nothing.
        _ = self.gate.run("evict", work).await;
    }

    /// Removes the object of an entry. Its key has to be locked.
    pub(crate) async fn delete(&self, operation: &'static str, key: &Key) -> Result<()> {
        let path = self.path(key)?;
        let deleted = self.client.call(operation, 0, |handles| {
            let path = path.clone();
            async move {
                use object_store::ObjectStoreExt;
                handles.objects.delete(&path).await.map_err(Failure::from)
            }
        });
        match deleted.await {
            Ok(()) => Ok(()),
            Err(failure) if failure.absence() == Some(Absence::Object) => Ok(()),
            Err(failure) => Err(self.error(failure, operation, key)),
        }
    }

    /// Evicts what is too much. Answers how many puts no flush before has told of.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<u64> {
        self.gate.check("flush")?;
        if self.budget.as_ref().is_some_and(Budget::may_be_over) {
            let engine = Arc::clone(self);
            self.gate.run("flush", async move { engine.keep_budget().await }).await?;
        }
        Ok(self.unflushed.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn has_suffixes(&self) -> bool {
        self.knows_suffixes.load(Ordering::Relaxed)
    }

    /// The entry changes whenever it is looked at.
    pub(crate) fn unsteady(&self, operation: &'static str, key: &Key) -> Error {
        Error::new(ErrorKind::Unavailable, "s3", operation)
            .with_detail("the entry was replaced again and again meanwhile")
            .with_key(key)
    }
}
