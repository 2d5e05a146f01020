//! Asks the slower tiers once for all who ask at the same time.

mod caller;
mod flights;
mod live;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use cache_core::{Blob, BlobName, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, Key, PutEntry, Result};
use futures::FutureExt;

pub(crate) use self::flights::{Boarded, Fetching, Flight, Flights, Landed, Registration, Want};
use self::live::Copying;
use crate::{layered::LayeredStore, merge::placed, read::Asked, tier::Tier};

/// What the slower tiers said.
#[derive(Clone)]
pub(crate) struct Fetched {
    asked: Asked,
    found: Result<Option<Found>>,
}

#[derive(Clone)]
enum Found {
    InHand(Arc<InHand>),
    Streams(Arc<Streams>),
}

/// An entry for any number of readers.
#[derive(Debug)]
pub(crate) struct InHand {
    pub(crate) meta: EntryMeta,
    pub(crate) blobs: Vec<(BlobName, Bytes)>,
}

/// An entry that can be read once.
struct Streams {
    first: Mutex<Option<EntryRead>>,
    /// Where the others find it.
    copying: Option<Copying>,
}

/// What is beyond the fastest tier.
pub(crate) enum Beyond {
    Found(EntryRead),
    Nowhere(Asked),
    /// The fastest tier has to be asked again.
    Again,
}

impl Want {
    fn has(&self, entry: &EntryRead) -> bool {
        self.blob.as_ref().is_none_or(|name| entry.has(name))
    }

    fn operation(&self) -> &'static str {
        if self.blob.is_some() { "get" } else { "get_entry" }
    }

    fn options(&self) -> GetOptions {
        GetOptions::default().with_stream_above(self.stream_above)
    }
}

impl InHand {
    /// `None` if some of the blobs can be read only once.
    fn of(entry: &EntryRead) -> Option<Self> {
        let blobs: Option<Vec<_>> =
            entry.blobs.iter().map(|(name, blob)| Some((name.clone(), blob.bytes()?.clone()))).collect();
        Some(Self { meta: entry.meta.clone(), blobs: blobs? })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, bytes)| bytes.len() as u64).fold(0, u64::saturating_add)
    }

    pub(crate) fn to_put(&self) -> PutEntry {
        self.blobs
            .iter()
            .fold(PutEntry::default(), |put, (name, bytes)| put.with(name.clone(), bytes.clone()))
    }

    fn read(&self, want: &Want) -> EntryRead {
        let wanted = |name: &BlobName| want.blob.as_ref().is_none_or(|wanted| wanted == name);
        let blobs = self.blobs.iter().filter(|(name, _)| wanted(name));
        let blobs = blobs.map(|(name, bytes)| (name.clone(), Blob::from_bytes(bytes.clone())));
        EntryRead::new(self.meta.clone(), blobs.collect())
    }
}

impl Streams {
    /// The entry, for the first who can do with a stream.
    fn take(&self, want: &Want, options: &GetOptions) -> Option<EntryRead> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let is_for_hand = |blob: &Blob| blob.bytes().is_none() && blob.len() <= options.stream_above;
        let entry = first.take()?;
        let blob = want.blob.as_ref().and_then(|name| entry.blobs.iter().find(|(other, _)| other == name));
        if blob.is_some_and(|(_, blob)| is_for_hand(blob)) {
            *first = Some(entry);
            return None;
        }
        Some(entry)
    }
}

impl LayeredStore {
    /// Asks the tiers after the fastest, together with all who want the same.
    pub(crate) async fn beyond(
        &self,
        key: &Key,
        want: &Want,
        options: &GetOptions,
        seen: Option<u64>,
        mut asked: Asked,
    ) -> Result<Beyond> {
        if self.read_tiers().len() < 2 {
            return Ok(Beyond::Nowhere(asked));
        }
        let begin = |registration: Registration| {
            let (store, key, want) = (self.clone(), key.clone(), want.clone());
            async move { store.fly(key, want, registration).await }.boxed()
        };
        let (fetched, joined) = match self.locks().board(key, want, seen, begin) {
            Boarded::Again => return Ok(Beyond::Again),
            Boarded::Alone => (self.hunt(key, want, None).await, false),
            Boarded::Began(flight) => (flight.land().await, false),
            Boarded::Joined(flight) => (flight.land().await, true),
        };
        asked.also(fetched.asked);
        let entry = match fetched.found? {
            None => None,
            Some(Found::InHand(entry)) => Some(entry.read(want)),
            Some(Found::Streams(streams)) => match streams.take(want, options) {
                Some(entry) => Some(entry),
                None => {
                    if let Some(mut copying) = streams.copying.clone() {
                        let is_copied = !copying.ended().await.is_empty();
                        if joined && is_copied {
                            self.counters().coalesced();
                        }
                    }
                    return self.afterwards(key, want, options, asked).await;
                }
            },
        };
        if joined {
            self.counters().coalesced();
        }
        Ok(match entry {
            Some(entry) => {
                asked.found(self);
                Beyond::Found(entry)
            }
            None => Beyond::Nowhere(asked),
        })
    }

    /// Reads what a flight could bring to one reader alone: where it was copied to, or once more.
    async fn afterwards(
        &self,
        key: &Key,
        want: &Want,
        options: &GetOptions,
        mut asked: Asked,
    ) -> Result<Beyond> {
        for tier in self.read_tiers() {
            let read = match &want.blob {
                Some(name) => alone(tier, key, name, options.clone()).await,
                None => tier.store.get_entry(key, options.clone()).await,
            };
            match read {
                Ok(None) => asked.answered = true,
                Ok(Some(entry)) => {
                    asked.found(self);
                    return Ok(Beyond::Found(named(tier, entry)));
                }
                Err(error) => asked.failed(tier, want.operation(), error)?,
            }
        }
        Ok(Beyond::Nowhere(asked))
    }

    /// The work of a flight. A tier that panics fails it for all alike.
    async fn fly(self, key: Key, want: Want, registration: Registration) -> Fetched {
        let hunting = AssertUnwindSafe(self.hunt(&key, &want, Some(registration)));
        hunting.catch_unwind().await.unwrap_or_else(|_| {
            let error = Error::new(ErrorKind::Internal, "layered", want.operation()).with_key(&key);
            Fetched { asked: Asked::default(), found: Err(error.with_detail("a tier panicked")) }
        })
    }

    /// Asks the tiers after the fastest in order, and copies what one has into those before it.
    async fn hunt(&self, key: &Key, want: &Want, registration: Option<Registration>) -> Fetched {
        let mut asked = Asked::default();
        for (at, tier) in self.read_tiers().iter().enumerate().skip(1) {
            let ticket = self.locks().ticket(key);
            let read = match &want.blob {
                // Of what is copied nowhere the rest is not wanted.
                Some(name) if !self.copies_from(at) => alone(tier, key, name, want.options()).await,
                _ => tier.store.get_entry(key, want.options()).await,
            };
            let entry = match read {
                Ok(Some(entry)) if want.has(&entry) => named(tier, entry),
                Ok(_) => {
                    asked.answered = true;
                    continue;
                }
                Err(error) => match asked.failed(tier, want.operation(), error) {
                    Ok(()) => continue,
                    Err(fault) => return Fetched { asked, found: Err(fault) },
                },
            };
            let targets = self.targets(at, &entry);
            let found = if let Some(entry) = InHand::of(&entry) {
                let entry = Arc::new(entry);
                self.promote(targets, &entry, ticket, registration).await;
                Found::InHand(entry)
            } else {
                let (first, copying) = live::begin(self, tier, targets, entry, want, ticket, registration);
                Found::Streams(Arc::new(Streams { first: Mutex::new(Some(first)), copying }))
            };
            return Fetched { asked, found: Ok(Some(found)) };
        }
        Fetched { asked, found: Ok(None) }
    }
}

/// The entry as far as one blob of it.
async fn alone(tier: &Tier, key: &Key, name: &BlobName, options: GetOptions) -> Result<Option<EntryRead>> {
    let blob = tier.store.get(key, name, options).await?;
    Ok(blob.map(|blob| EntryRead::new(EntryMeta::new(key.clone(), 0), vec![(name.clone(), blob)])))
}

pub(crate) fn named(tier: &Tier, mut entry: EntryRead) -> EntryRead {
    entry.meta = placed(tier, entry.meta);
    entry
}
