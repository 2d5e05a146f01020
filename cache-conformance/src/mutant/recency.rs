use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, EntryMeta, EntryRead, GetOptions, Key, PutEntry, PutOptions, PutOutcome, Result, Store,
    slice_range,
};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "quiet_reads_are_reads",
        fault: "A quiet read is one like any other.",
        killed_by: &["quiet_reads_leave_no_trace"],
        fresh: Reference::default,
        open: |reference, setup| twisted(QuietReadsAreReads(reference.store(setup)?)),
    },
    Mutant {
        id: "keeps_the_first_creation",
        fault: "A put over an entry without recency keeps the time of the old one.",
        killed_by: &["a_write_makes_an_entry_recent", "put_without_a_time_is_made_now"],
        fresh: || {
            let mut powers = Reference::default().powers();
            powers.recency = false;
            Reference::with_powers(powers)
        },
        open: |reference, setup| twisted(KeepsTheFirstCreation(reference.store(setup)?)),
    },
    Mutant {
        id: "meta_is_a_read",
        fault: "`meta` reads the entry.",
        killed_by: &["questions_make_no_entry_recent", "access_count_counts_reads"],
        fresh: Reference::default,
        open: |reference, setup| twisted(MetaIsARead(reference.store(setup)?)),
    },
    Mutant {
        id: "ranges_are_no_reads",
        fault: "A read of a range does not make the entry recent.",
        killed_by: &[
            "every_kind_of_read_protects_from_eviction",
            "clean_by_size_honours_every_kind_of_read",
            "last_accessed_moves_with_reads",
            "access_count_counts_reads",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(RangesAreNoReads(reference.store(setup)?)),
    },
];

twist! { KeepsTheFirstCreation {
    async fn put(&self, key: &Key, entry: PutEntry, mut options: PutOptions) -> Result<PutOutcome> {
        let old = self.0.meta(key).await?;
        options.created = options.created.or_else(|| old?.created);
        self.0.put(key, entry, options).await
    }
} }

twist! { QuietReadsAreReads {
    async fn get_entry(&self, key: &Key, mut options: GetOptions) -> Result<Option<EntryRead>> {
        options.quiet = false;
        self.0.get_entry(key, options).await
    }
} }

twist! { MetaIsARead {
    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        self.0.get_entry(key, GetOptions::default()).await?;
        self.0.meta(key).await
    }
} }

twist! { RangesAreNoReads {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(whole) = self.0.peek_blob(key, blob).filter(|_| options.range.is_some()) else {
            return self.0.get(key, blob, options).await;
        };
        Ok(Some(Blob::part(whole.len() as u64, slice_range(&whole, options.range)?)))
    }
} }
