//! Scrubs: every entry is read through, so that damage is found before somebody needs what it has destroyed.

mod report;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};

pub use report::VerifyReport;

use crate::{
    BlobName, EntryMeta, Error, ErrorKind, GetOptions, Key, ListOptions, Namespace, Result, Store, Usage,
};

/// Entries that are read at a time.
const AT_ONCE: usize = 4;
/// Larger blobs are read in pieces.
const IN_HAND: u64 = 64 << 10;

type Tell = Arc<dyn Fn(&VerifyProgress) + Send + Sync>;

/// How to [`verify`](Store::verify) a store.
#[derive(Clone)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Whether damaged entries are written again from sound copies, where there are any: in the tiers of a
    /// stack. On by default.
    pub repair: bool,
    /// So many damaged entries are named in the report; all are counted. 100 by default.
    pub max_keys: usize,
    progress: Option<Tell>,
    elsewhere: Option<Arc<dyn Repair>>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { repair: true, max_keys: 100, progress: None, elsewhere: None }
    }
}

impl VerifyOptions {
    /// Sets whether damaged entries are written again from sound copies.
    #[must_use]
    pub fn with_repair(mut self, repair: bool) -> Self {
        self.repair = repair;
        self
    }

    /// Sets how many damaged entries the report names.
    #[must_use]
    pub fn with_max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Has `tell` called now and then, up to once for each entry and each piece of a large blob: it must not
    /// block. Costs a count of what there is before each tier is read; if that fails the count is 0.
    #[must_use]
    pub fn with_progress(mut self, tell: impl Fn(&VerifyProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }

    /// For a store made of others: options for one of these, which asks `repair` to write damaged entries
    /// again, and whose progress comes from `tier`.
    #[must_use]
    pub fn for_tier(&self, tier: &Arc<str>, repair: Option<Arc<dyn Repair>>) -> Self {
        let mut options = self.clone();
        options.elsewhere = repair;
        if let Some(tell) = self.progress.clone() {
            let tier = Arc::clone(tier);
            options.progress = Some(Arc::new(move |progress| {
                let tier = match &progress.tier {
                    // A tier of a stack that is a tier itself.
                    Some(inner) => format!("{tier}/{inner}").into(),
                    None => Arc::clone(&tier),
                };
                tell(&VerifyProgress { tier: Some(tier), ..progress.clone() });
            }));
        }
        options
    }

    /// Has a damaged entry written again by whoever has a sound copy, if that is wanted. Whether it is sound
    /// now.
    ///
    /// # Errors
    ///
    /// What reading or writing the copy fails with.
    ///
    /// # Cancel safety
    ///
    /// The entry is absent or whole.
    pub async fn repair(&self, key: &Key) -> Result<bool> {
        match self.elsewhere.as_ref().filter(|_| self.repair) {
            Some(elsewhere) => elsewhere.repair(key).await,
            None => Ok(false),
        }
    }
}

impl fmt::Debug for VerifyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("repair", &self.repair)
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

/// Who can write a damaged entry again, from a copy that is not in the store which found it damaged.
#[async_trait]
pub trait Repair: Send + Sync {
    /// Writes the entry again. Whether it is sound now; `false` if there is no sound copy.
    ///
    /// # Errors
    ///
    /// What reading or writing the copy fails with.
    ///
    /// # Cancel safety
    ///
    /// The entry is absent or whole.
    async fn repair(&self, key: &Key) -> Result<bool>;
}

/// How far a [`verify`](Store::verify) is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// The tier that is being read, of a stack; its figures are told, from 0 on.
    pub tier: Option<Arc<str>>,
    /// Entries that are done.
    pub entries: u64,
    /// Entries that there were at its beginning.
    pub of_entries: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes that there were at its beginning.
    pub of_bytes: u64,
    /// Entries found damaged.
    pub damaged: u64,
}

/// [`Store::verify`] for stores that know no better than to list and to read everything, four entries at a time.
/// Holds no entry in memory: blobs over 64 KiB are read in pieces, where the store streams.
///
/// # Errors
///
/// What the listing fails with if it fails at once; [`Closed`](ErrorKind::Closed). Other failures are in the
/// report.
///
/// # Cancel safety
///
/// What was damaged may have been dropped or repaired; nothing else is changed.
pub async fn verify_by_listing<S: Store + ?Sized>(
    store: &S,
    scope: &Namespace,
    options: &VerifyOptions,
) -> Result<VerifyReport> {
    let progress = Progress::begin(store, scope, options).await;
    let mut report = VerifyReport::default();
    let mut unlisted = None;
    let listed = store.list(ListOptions::below(scope)).fuse();
    let mut found = listed.map(|listed| look(store, options, &progress, listed)).buffer_unordered(AT_ONCE);
    while let Some(found) = found.next().await {
        match found {
            Found::Sound(bytes) => report.sound(bytes),
            Found::Damaged(key, repaired) => report.damage(key, repaired, options.max_keys),
            Found::Unreadable(error) if error.kind() == ErrorKind::Closed => return Err(error),
            Found::Unreadable(error) => report.unreadable(error),
            Found::Gone => continue,
            // Entries that were listed before may still be under way.
            Found::Unlisted(error) => {
                unlisted.get_or_insert(error);
                continue;
            }
        }
        progress.entry(report.damaged);
    }
    match unlisted {
        Some(error) if report.entries == 0 => return Err(error),
        Some(error) => report.end(error),
        None => {}
    }
    Ok(report)
}

enum Found {
    Sound(u64),
    Damaged(Key, Result<bool>),
    Unreadable(Error),
    /// Somebody removed it meanwhile.
    Gone,
    /// The listing ended.
    Unlisted(Error),
}

async fn look<S: Store + ?Sized>(
    store: &S,
    options: &VerifyOptions,
    progress: &Progress,
    listed: Result<EntryMeta>,
) -> Found {
    let key = match listed {
        Ok(meta) => meta.key,
        Err(error) => return Found::Unlisted(error),
    };
    match read_through(store, &key, |bytes| progress.bytes(bytes)).await {
        Ok(Some(bytes)) => Found::Sound(bytes),
        Ok(None) => Found::Gone,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let repaired = options.repair(&key).await;
            Found::Damaged(key, repaired)
        }
        Err(error) => Found::Unreadable(error),
    }
}

/// Reads all of an entry, quietly and a piece at a time. Its bytes; `None` if it is not there.
///
/// `read` is told of each piece.
///
/// # Errors
///
/// [`Corrupt`](ErrorKind::Corrupt) if any of it is damaged; else what reading it fails with.
///
/// # Cancel safety
///
/// Reads only.
pub async fn read_through<S: Store + ?Sized>(
    store: &S,
    key: &Key,
    read: impl Fn(u64) + Send,
) -> Result<Option<u64>> {
    let mut bytes = 0_u64;
    let sum = &mut bytes;
    let seen = read_pieces(store, key, move |_, piece| {
        if !piece.is_empty() {
            *sum = sum.saturating_add(piece.len() as u64);
            read(piece.len() as u64);
        }
    });
    Ok(seen.await?.map(|_| bytes))
}

/// [`read_through`], of which `see` is shown everything: of each blob an empty piece first.
pub(crate) async fn read_pieces<S: Store + ?Sized>(
    store: &S,
    key: &Key,
    mut see: impl FnMut(&BlobName, &[u8]) + Send,
) -> Result<Option<EntryMeta>> {
    let options = GetOptions::default().quietly().with_stream_above(IN_HAND);
    let Some(entry) = store.get_entry(key, options).await? else { return Ok(None) };
    for (name, blob) in entry.blobs {
        see(&name, &[]);
        let mut pieces = blob.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            see(&name, &piece);
        }
    }
    Ok(Some(entry.meta))
}

/// What is told of how far it is.
struct Progress {
    tell: Option<Tell>,
    entries: AtomicU64,
    bytes: AtomicU64,
    damaged: AtomicU64,
    of_entries: u64,
    of_bytes: u64,
}

impl Progress {
    async fn begin<S: Store + ?Sized>(store: &S, scope: &Namespace, options: &VerifyOptions) -> Self {
        let tell = options.progress.clone();
        // What cannot be counted can be verified as far as it can be read.
        let usage =
            if tell.is_some() { store.usage(scope).await.unwrap_or_default() } else { Usage::default() };
        let (entries, bytes, damaged) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let progress =
            Self { tell, entries, bytes, damaged, of_entries: usage.entries, of_bytes: usage.bytes };
        progress.told();
        progress
    }

    fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.told();
    }

    fn entry(&self, damaged: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.damaged.store(damaged, Ordering::Relaxed);
        self.told();
    }

    fn told(&self) {
        let Some(tell) = &self.tell else { return };
        tell(&VerifyProgress {
            tier: None,
            entries: self.entries.load(Ordering::Relaxed),
            of_entries: self.of_entries,
            bytes: self.bytes.load(Ordering::Relaxed),
            of_bytes: self.of_bytes,
            damaged: self.damaged.load(Ordering::Relaxed),
        });
    }
}

#[cfg(test)]
mod tests;
