use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, CleanPolicy, CleanReport, EntryMeta, EntryRead, Envelope, Error, ErrorKind, GetOptions,
    Key, KeyManagement, ListOptions, Metrics, Namespace, Result, Store, slice_range,
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Factory, Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "trusts_stored_bytes",
        fault: "It verifies nothing.",
        killed_by: &[
            "flipped_bytes_are_never_served",
            "cut_off_objects_are_never_served",
            "grown_objects_are_never_served",
            "damaged_large_blobs_are_never_served",
            "swapped_entries_are_never_served",
            "damage_under_an_open_store_is_never_served",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(Unverified::new(reference, setup, |_| true)?),
    },
    Mutant {
        id: "verifies_whole_blobs_only",
        fault: "What it reads a range of it does not verify.",
        killed_by: &["flipped_bytes_are_never_served", "damaged_large_blobs_are_never_served"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(Unverified::new(reference, setup, |options| options.range.is_some())?)
        },
    },
    Mutant {
        id: "trusts_the_place",
        fault: "Bytes that are whole are right, wherever they lie.",
        killed_by: &[
            "swapped_entries_are_never_served",
            "swapped_namespaces_are_never_served",
            "swapped_blobs_are_never_served",
        ],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(TrustsThePlace { store: reference.store(setup)?, reference: reference.clone() })
        },
    },
    Mutant {
        id: "empty_object_is_an_empty_blob",
        fault: "An object that has lost everything is a blob of no bytes.",
        killed_by: &["cut_off_objects_are_never_served", "removed_objects_are_misses"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(EmptyIsABlob { store: reference.store(setup)?, reference: reference.clone() })
        },
    },
    Mutant {
        id: "keeps_damage",
        fault: "What is damaged once stays so: it is not dropped, and no put heals it.",
        killed_by: &["damage_is_counted_and_dropped", "put_heals_damage", "flipped_bytes_are_never_served"],
        fresh: Reference::default,
        open: |reference, setup| {
            twisted(KeepsDamage { store: reference.store(setup)?, damaged: Mutex::default() })
        },
    },
    Mutant {
        id: "hides_damage",
        fault: "It counts no damage.",
        killed_by: &["damage_is_counted_and_dropped"],
        fresh: Reference::default,
        open: |reference, setup| twisted(HidesDamage(reference.store(setup)?)),
    },
    Mutant {
        id: "damage_fails_all",
        fault: "Damage of one entry fails listings, and takes its namespace with it.",
        killed_by: &["damage_leaves_other_entries_alone"],
        fresh: Reference::default,
        open: |reference, setup| twisted(DamageFailsAll(reference.store(setup)?)),
    },
    Mutant {
        id: "reads_before_it_removes",
        fault: "What it cannot read it cannot remove either.",
        killed_by: &["damaged_entry_can_be_removed"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ReadsBeforeItRemoves(reference.store(setup)?)),
    },
];

/// The stored bytes of a blob, as they are.
async fn stored(reference: &Reference, key: &Key, name: &BlobName) -> Option<Bytes> {
    let damage = reference.damage()?;
    let objects = damage.objects(key).await.ok()?;
    let object = objects.iter().find(|object| object.ends_with(&format!(" {name}")))?;
    damage.read(object).await.ok()
}

/// Answers what `otherwise` has where the store finds damage.
async fn get_or(
    store: &ReferenceStore,
    (key, blob, options): (&Key, &BlobName, GetOptions),
    otherwise: Option<Bytes>,
) -> Result<Option<Blob>> {
    let range = options.range;
    match (store.get(key, blob, options).await, otherwise) {
        (Err(error), Some(bytes)) if error.kind() == ErrorKind::Corrupt => {
            let total = bytes.len() as u64;
            Ok(Some(Blob::part(total, slice_range(&bytes, range)?)))
        }
        (read, _) => read,
    }
}

#[derive(Debug)]
struct Unverified {
    store: ReferenceStore,
    reference: Reference,
    applies: fn(&GetOptions) -> bool,
}

impl Unverified {
    fn new(reference: &Reference, setup: &crate::Setup, applies: fn(&GetOptions) -> bool) -> Result<Self> {
        Ok(Self { store: reference.store(setup)?, reference: reference.clone(), applies })
    }
}

#[async_trait]
impl Twist for Unverified {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let sealed = stored(&self.reference, key, blob).await.filter(|_| (self.applies)(&options));
        let payload = sealed.and_then(|sealed| {
            let len = usize::try_from(Envelope::payload_len(sealed.len() as u64)?).ok()?;
            Some(sealed.slice(Envelope::HEADER_BYTES..Envelope::HEADER_BYTES + len))
        });
        get_or(&self.store, (key, blob, options), payload).await
    }
}

#[derive(Debug)]
struct TrustsThePlace {
    store: ReferenceStore,
    reference: Reference,
}

#[async_trait]
impl Twist for TrustsThePlace {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let sealed = stored(&self.reference, key, blob).await.unwrap_or_default();
        let mut found = None;
        let mut all = self.store.list(ListOptions::below(&Namespace::root()));
        while let Some(entry) = all.try_next().await? {
            let opened = entry.blobs.iter().map(|blob| Envelope::open(&entry.key, &blob.name, &sealed));
            found = found.or_else(|| opened.flatten().map(|(bytes, _)| bytes).next());
        }
        get_or(&self.store, (key, blob, options), found).await
    }
}

#[derive(Debug)]
struct EmptyIsABlob {
    store: ReferenceStore,
    reference: Reference,
}

#[async_trait]
impl Twist for EmptyIsABlob {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let empty = stored(&self.reference, key, blob).await.filter(Bytes::is_empty);
        get_or(&self.store, (key, blob, options), empty).await
    }
}

#[derive(Debug)]
struct KeepsDamage {
    store: ReferenceStore,
    damaged: Mutex<BTreeSet<Key>>,
}

impl KeepsDamage {
    fn damaged(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, key: &Key, read: Result<T>) -> Result<T> {
        if self.damaged().contains(key) {
            return Err(Error::corrupt("it was damaged once"));
        }
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
            self.damaged().insert(key.clone());
        }
        read
    }
}

#[async_trait]
impl Twist for KeepsDamage {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let read = self.store.get(key, blob, options).await;
        self.note(key, read)
    }
}

#[derive(Debug)]
struct HidesDamage(ReferenceStore);

#[async_trait]
impl Twist for HidesDamage {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn metrics(&self) -> Metrics {
        let mut metrics = self.0.metrics();
        metrics.corrupt = 0;
        metrics
    }
}

#[derive(Debug)]
struct DamageFailsAll(ReferenceStore);

#[async_trait]
impl Twist for DamageFailsAll {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let store = self.0.clone();
        let verified = self.0.list(options).and_then(move |entry| {
            let store = store.clone();
            async move {
                store.get_entry(&entry.key, GetOptions::default()).await?;
                Ok(entry)
            }
        });
        let mut failed = false;
        let ended = verified.take_while(move |entry| {
            let goes_on = !std::mem::replace(&mut failed, entry.is_err());
            std::future::ready(goes_on)
        });
        ended.boxed()
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        let read = self.0.get_entry(key, options).await;
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Corrupt) {
            self.0.clean(&key.namespace, &CleanPolicy::default().with_max_bytes(0)).await?;
        }
        read
    }
}

#[derive(Debug)]
struct ReadsBeforeItRemoves(ReferenceStore);

#[async_trait]
impl Twist for ReadsBeforeItRemoves {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.0.get_entry(key, GetOptions::default()).await?;
        self.0.evict(key).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let mut all = self.0.list(ListOptions::below(scope));
        while let Some(entry) = all.try_next().await? {
            self.0.get_entry(&entry.key, GetOptions::default()).await?;
        }
        self.0.clean(scope, policy).await
    }
}
