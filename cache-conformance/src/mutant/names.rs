use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{
    Blob, BlobName, EntryMeta, EntryRead, GetOptions, Key, KeyManagement, KeyView, ListOptions, Namespace,
    PutEntry, PutOptions, PutOutcome, Result, Store, Usage,
};
use futures::StreamExt;

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "folds_case",
        fault: "Namespaces that differ in case only are one.",
        killed_by: &["odd_names_round_trip"],
        fresh: Reference::default,
        open: |reference, setup| {
            let folded = |key: &Key| key.namespace.to_string().to_lowercase().parse().unwrap_or_default();
            twisted(Renames(reference.store(setup)?, folded))
        },
    },
    Mutant {
        id: "usage_forgets_below",
        fault: "The usage of a namespace leaves out those below.",
        killed_by: &["usage_counts_namespaces_below"],
        fresh: Reference::default,
        open: |reference, setup| twisted(UsageForgetsBelow(reference.store(setup)?)),
    },
    Mutant {
        id: "cuts_long_paths",
        fault: "Namespaces are the same as those whose first 8 parts they share.",
        killed_by: &["long_paths_round_trip"],
        fresh: Reference::default,
        open: |reference, setup| {
            let renamed = |key: &Key| {
                let parts = key.namespace.parts();
                of_parts(parts.get(..8).unwrap_or(&parts))
            };
            twisted(Renames(reference.store(setup)?, renamed))
        },
    },
    Mutant {
        id: "knows_the_last_part_only",
        fault: "Of a namespace only the last part counts.",
        killed_by: &["namespaces_do_not_collide"],
        fresh: Reference::default,
        open: |reference, setup| {
            let renamed = |key: &Key| {
                let parts = key.namespace.parts();
                of_parts(parts.get(parts.len().saturating_sub(1)..).unwrap_or(&parts))
            };
            twisted(Renames(reference.store(setup)?, renamed))
        },
    },
    Mutant {
        id: "takes_names_for_encoded_ones",
        fault: "A name that looks like an encoded one is taken for it.",
        killed_by: &["encoded_names_are_other_names"],
        fresh: Reference::default,
        open: |reference, setup| {
            let renamed = |key: &Key| {
                let path = key.namespace.to_string();
                Namespace::decode(&path).unwrap_or_else(|| key.namespace.clone())
            };
            twisted(Renames(reference.store(setup)?, renamed))
        },
    },
    Mutant {
        id: "takes_namespaces_for_shards",
        fault: "A namespace named as the first digits of a digest is where that digest lies anyway.",
        killed_by: &["namespaces_named_as_entries_stay_apart"],
        fresh: Reference::default,
        open: |reference, setup| {
            let renamed = |key: &Key| {
                let parts = key.namespace.parts();
                let shard = key.digest.prefix(2).to_string();
                of_parts(&parts.into_iter().filter(|part| *part != shard).collect::<Vec<_>>())
            };
            twisted(Renames(reference.store(setup)?, renamed))
        },
    },
];

// Keeps an entry under another key.
twist! { Renames(fn(&Key) -> Namespace) {
    async fn contains(&self, key: &Key) -> Result<bool> {
        self.0.contains(&self.renamed(key)).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.0.evict(&self.renamed(key)).await
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        self.0.get_now(self.renamed(&key.to_key()).view(), blob)
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.0.get(&self.renamed(key), blob, options).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        self.0.get_entry(&self.renamed(key), options).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.0.put(&self.renamed(key), entry, options).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.0.meta(&self.renamed(key)).await
    }
} }

impl Renames {
    fn renamed(&self, key: &Key) -> Key {
        Key::new((self.1)(key), key.digest)
    }
}

/// The namespace of these parts.
fn of_parts(parts: &[String]) -> Namespace {
    parts.join("/").parse().unwrap_or_default()
}

#[derive(Debug)]
struct UsageForgetsBelow(ReferenceStore);

#[async_trait]
impl Twist for UsageForgetsBelow {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut listing = self.0.list(ListOptions::of(scope));
        while let Some(entry) = listing.next().await {
            let entry = entry?;
            usage.add(entry.counted_bytes(), entry.stored_bytes);
        }
        Ok(usage)
    }
}
