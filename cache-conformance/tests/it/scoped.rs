//! A view of a store is a store, and leaves the entries of others alone.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Crash, Damage, Factory, Failures, Reference, Scoped, Setup};
use cache_core::{Digest, Key, KeyManagement, ListOptions, Namespace, Powers, Result, Store, StoreExt};
use futures::TryStreamExt;

/// Opens views of stores in which others have entries, too, and looks at the end whether they are as they were.
struct AmongOthers {
    reference: Reference,
    view: Namespace,
}

/// Around the view, in front of it and behind it, in the order of listings.
const OTHERS: [&str; 7] = ["", "a", "a/b", "view", "view/mine", "view/mine0/c", "z"];

fn others() -> impl Iterator<Item = (Key, Bytes)> {
    OTHERS.iter().flat_map(|path| {
        // Also the entries that clauses try first.
        ["other", "sample 0", "sample 1"].map(|name| {
            (Key::new(path.parse().unwrap(), Digest::of(name)), Bytes::from(format!("{name} in {path}")))
        })
    })
}

/// Runs something from a place without a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl AmongOthers {
    fn new(reference: Reference) -> Self {
        let store = reference.store(&Setup::default()).unwrap();
        block_on(async {
            for (key, bytes) in others() {
                store.put_bytes(&key, bytes).await.unwrap();
            }
            store.flush().await.unwrap();
            store.close(None).await.unwrap();
        });
        Self { reference, view: "view/mine/0".parse().unwrap() }
    }
}

impl Drop for AmongOthers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let store = self.reference.store(&Setup::default()).unwrap();
        let mine = |key: &Key| self.view.covers(&key.namespace);
        block_on(async {
            let listed = store.list(ListOptions::default().recursive()).map_ok(|entry| entry.key);
            let mut listed: Vec<_> = listed.try_collect().await.unwrap();
            listed.retain(|key| !mine(key));
            let mut expected: Vec<_> = others().map(|(key, _)| key).collect();
            expected.sort();
            assert_eq!(listed, expected, "the entries of others are not what they were");
            for (key, bytes) in others() {
                let found = store.get_bytes(&key, &cache_core::BlobName::DATA).await.unwrap();
                assert_eq!(found, Some(bytes), "the bytes of {key}");
            }
        });
    }
}

#[async_trait]
impl Factory for AmongOthers {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let mut limits = Setup::default();
        limits.max_blob_bytes = setup.max_blob_bytes;
        let store = self.reference.store(&limits)?;
        Ok(Arc::new(Scoped::new(Arc::new(store), self.view.clone())))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        Some(self)
    }

    fn failures(&self) -> Option<&dyn Failures> {
        self.reference.failures()
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.reference.crash()
    }
}

#[async_trait]
impl Damage for AmongOthers {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        let key = Key::new(self.view.join(&key.namespace)?, key.digest);
        self.reference.damage().unwrap().objects(&key).await
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        self.reference.damage().unwrap().read(object).await
    }

    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        self.reference.damage().unwrap().write(object, bytes).await
    }

    async fn remove(&self, object: &str) -> Result<()> {
        self.reference.damage().unwrap().remove(object).await
    }
}

mod all_powers {
    use super::*;

    cache_conformance::suite! { AmongOthers::new(Reference::default()), handles: [damage, failures, crash] }
}

mod durable_only {
    use super::*;

    fn durable() -> Reference {
        let mut powers = Powers::default();
        (powers.durable, powers.dated) = (true, true);
        Reference::with_powers(powers)
    }

    cache_conformance::suite! { AmongOthers::new(durable()), handles: [damage, failures, crash] }
}

/// Nothing of a view reaches beyond its namespace, which this would.
#[test]
#[should_panic(expected = "the entries of others are not what they were")]
fn touched_entry_of_others_is_noticed() {
    let factory = AmongOthers::new(Reference::default());
    let store = factory.reference.store(&Setup::default()).unwrap();
    block_on(store.evict(&others().next().unwrap().0)).unwrap();
}
