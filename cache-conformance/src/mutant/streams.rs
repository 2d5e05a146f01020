use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, ByteRange, ByteStream, Error, ErrorKind, GetOptions, Key, KeyManagement, PutBlob,
    PutEntry, PutOptions, PutOutcome, Result, Store,
};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "asks_on_after_the_end",
        fault: "A source is asked for more after its end.",
        killed_by: &["source_is_read_once_to_its_end"],
        fresh: Reference::default,
        open: |reference, setup| {
            let asks_on = |mut source: ByteStream| {
                let again = async move {
                    let pieces = source.by_ref().collect::<Vec<_>>().await;
                    source.next().await;
                    stream::iter(pieces)
                };
                again.flatten_stream().boxed()
            };
            twisted(Reads(reference.store(setup)?, asks_on))
        },
    },
    Mutant {
        id: "ends_at_an_empty_piece",
        fault: "An empty piece ends a stream that is put.",
        killed_by: &["pieces_of_any_size_join_to_one_blob"],
        fresh: Reference::default,
        open: |reference, setup| {
            let until_empty = |source: ByteStream| {
                let full = |piece: &Result<bytes::Bytes>| !piece.as_ref().is_ok_and(bytes::Bytes::is_empty);
                source.take_while(move |piece| std::future::ready(full(piece))).boxed()
            };
            twisted(Reads(reference.store(setup)?, until_empty))
        },
    },
    Mutant {
        id: "hides_what_is_put",
        fault: "While the blobs of a put stream in, the old entry is gone.",
        killed_by: &[
            "slow_put_keeps_the_old_entry_until_it_ends",
            "streamed_put_that_fails_changes_nothing",
            "failure_of_one_stream_undoes_the_others",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(HidesWhatIsPut(reference.store(setup)?)),
    },
    Mutant {
        id: "locks_what_is_read",
        fault: "An entry of which a stream is open cannot be put.",
        killed_by: &["unread_streams_hold_up_nothing", "open_stream_never_mixes_versions"],
        fresh: Reference::default,
        open: |reference, setup| twisted(LocksWhatIsRead(reference.store(setup)?, Arc::default())),
    },
    Mutant {
        id: "streams_end_early",
        fault: "A streamed read ends before its last piece.",
        killed_by: &["streamed_get_equals_bytes", "streams_of_one_entry_run_side_by_side"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StreamsEndEarly(reference.store(setup)?)),
    },
    Mutant {
        id: "streams_everything",
        fault: "Every read is a stream, however small it is.",
        killed_by: &[
            "reads_up_to_the_threshold_are_in_hand",
            "hits_share_bytes_where_declared",
            "blobs_around_eight_mebibytes_round_trip",
        ],
        fresh: Reference::default,
        open: |reference, setup| twisted(StreamsEverything(reference.store(setup)?)),
    },
    Mutant {
        id: "streams_follow_the_entry",
        fault: "A stream goes on with the bytes that the entry has now.",
        killed_by: &["open_stream_never_mixes_versions"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StreamsFollowTheEntry(reference.store(setup)?)),
    },
    Mutant {
        id: "streams_one_at_a_time",
        fault: "A new stream breaks those that are open.",
        killed_by: &["streams_of_one_entry_run_side_by_side"],
        fresh: Reference::default,
        open: |reference, setup| twisted(StreamsOneAtATime(reference.store(setup)?, Arc::default())),
    },
    Mutant {
        id: "takes_one_piece",
        fault: "Of a stream without a promised length only the first piece is stored.",
        killed_by: &["streamed_put_round_trips", "pieces_of_any_size_join_to_one_blob"],
        fresh: Reference::default,
        open: |reference, setup| twisted(Reads(reference.store(setup)?, |source| source.take(1).boxed())),
    },
];

// Reads sources without a promised length in another way.
twist! { Reads(fn(ByteStream) -> ByteStream) {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        let mut read = PutEntry::default();
        for (name, blob) in entry.into_blobs() {
            read = match blob {
                PutBlob::Stream { len: None, stream } => read.with_stream(name, None, (self.1)(stream)),
                blob => read.with_blob(name, blob),
            };
        }
        self.0.put(key, read, options).await
    }
} }

twist! { HidesWhatIsPut {
    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. })) {
            self.0.evict(key).await?;
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { LocksWhatIsRead(Arc<()>) {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let held = self.1.clone();
        Ok(self.0.get(key, blob, options).await?.map(|found| {
            let (len, total) = (found.len(), found.total_len());
            if found.bytes().is_some() {
                return found;
            }
            let holds = found.into_stream().inspect(move |_| _ = &held);
            Blob::from_stream(len, total, holds.boxed())
        }))
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        if Arc::strong_count(&self.1) > 1 {
            return Err(Error::new(ErrorKind::Unavailable, "mutant", "put"));
        }
        self.0.put(key, entry, options).await
    }
} }

twist! { StreamsEndEarly {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(found) = self.0.get(key, blob, options).await? else { return Ok(None) };
        let (len, total) = (found.len(), found.total_len());
        if found.bytes().is_some() {
            return Ok(Some(found));
        }
        let mut pieces: Vec<_> = found.into_stream().collect().await;
        pieces.pop();
        Ok(Some(Blob::from_stream(len, total, stream::iter(pieces).boxed())))
    }
} }

twist! { StreamsEverything {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let found = self.0.get(key, blob, options).await?;
        Ok(found.map(|found| Blob::from_stream(found.len(), found.total_len(), found.into_stream())))
    }
} }

twist! { StreamsFollowTheEntry {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(found) = self.0.get(key, blob, options.clone()).await? else { return Ok(None) };
        let (len, total) = (found.len(), found.total_len());
        if found.bytes().is_some() || options.range.is_some() {
            return Ok(Some(found));
        }
        let (store, key, blob) = (self.0.clone(), key.clone(), blob.clone());
        let pieces = stream::try_unfold(0, move |at: u64| {
            let (store, key, blob) = (store.clone(), key.clone(), blob.clone());
            async move {
                let part = GetOptions::default().with_range(ByteRange::new(at, Some(at + 10_000))?);
                let Ok(Some(part)) = store.get(&key, &blob, part).await else { return Ok(None) };
                let part = part.collect(10_000).await?;
                let next = at + part.len() as u64;
                Ok((!part.is_empty()).then_some((part, next)))
            }
        });
        Ok(Some(Blob::from_stream(len, total, pieces.boxed())))
    }
} }

twist! { StreamsOneAtATime(Arc<AtomicU64>) {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let Some(found) = self.0.get(key, blob, options).await? else { return Ok(None) };
        let (len, total) = (found.len(), found.total_len());
        if found.bytes().is_some() {
            return Ok(Some(found));
        }
        let newest = self.1.clone();
        let own = newest.fetch_add(1, Ordering::SeqCst) + 1;
        let watched = found.into_stream().and_then(move |piece| {
            let broken = newest.load(Ordering::SeqCst) != own;
            let error = || Error::new(ErrorKind::Unavailable, "mutant", "get");
            std::future::ready(if broken { Err(error()) } else { Ok(piece) })
        });
        Ok(Some(Blob::from_stream(len, total, watched.boxed())))
    }
} }
