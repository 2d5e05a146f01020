use std::{borrow::Cow, sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::{Blob, BlobName, ByteRange, Envelope, Key, Result, slice_range};

/// What is known of an entry without reading its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryMeta {
    /// The entry's address.
    pub key: Key,
    /// The bytes of all blobs. Always known in `meta`, in a listing where it costs nothing.
    pub bytes: Option<u64>,
    /// The bytes that the entry occupies where it is stored, envelopes included.
    pub stored_bytes: u64,
    /// The blobs, in the order of their names. Known where `bytes` is.
    pub blobs: Vec<BlobMeta>,
    /// When the oldest blob was made.
    pub created: Option<SystemTime>,
    /// When the newest blob was made: what `clean` by age goes by. In a listing of a store without the
    /// [power](crate::Powers::dated) `dated`, when it was written.
    pub modified: Option<SystemTime>,
    /// The last read or write, where the store keeps recency.
    pub last_accessed: Option<SystemTime>,
    /// How often the entry was read, where the store counts it.
    pub access_count: Option<u64>,
    /// Which stores hold the entry, fastest first.
    pub places: Vec<Place>,
}

impl EntryMeta {
    /// What is known of `key` at least.
    #[must_use]
    pub fn new(key: Key, stored_bytes: u64) -> Self {
        Self {
            key,
            bytes: None,
            stored_bytes,
            blobs: Vec::new(),
            created: None,
            modified: None,
            last_accessed: None,
            access_count: None,
            places: Vec::new(),
        }
    }

    /// What is known of an entry whose blobs are stored one by one, each in an [`Envelope`].
    #[must_use]
    pub fn of_sealed(key: Key, blobs: Vec<BlobMeta>) -> Self {
        let stored = blobs.iter().map(|blob| Envelope::sealed_len(blob.bytes)).fold(0, u64::saturating_add);
        Self::new(key, stored).with_blobs(blobs)
    }

    /// Takes the blobs: their order, their sum, the oldest and the newest.
    #[must_use]
    pub fn with_blobs(mut self, mut blobs: Vec<BlobMeta>) -> Self {
        blobs.sort_by(|a, b| a.name.cmp(&b.name));
        self.bytes = Some(blobs.iter().map(|blob| blob.bytes).fold(0, u64::saturating_add));
        self.created = blobs.iter().filter_map(|blob| blob.created).min();
        self.modified = blobs.iter().filter_map(|blob| blob.created).max();
        self.blobs = blobs;
        self
    }

    /// Tells that the entry lies at `location` of `tier`, after the places told before.
    #[must_use]
    pub fn with_place(mut self, tier: impl Into<Arc<str>>, location: impl Into<Cow<'static, str>>) -> Self {
        self.places.push(Place::new(tier, location));
        self
    }

    /// The bytes that budgets and `clean` count: those of the blobs, else the stored ones.
    #[must_use]
    pub fn counted_bytes(&self) -> u64 {
        self.bytes.unwrap_or(self.stored_bytes)
    }

    /// What recency goes by: the last access, else the newest blob.
    #[must_use]
    pub fn recency(&self) -> Option<SystemTime> {
        self.last_accessed.max(self.modified)
    }
}

/// What is known of one blob of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobMeta {
    /// The blob's name.
    pub name: BlobName,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was made.
    pub created: Option<SystemTime>,
}

impl BlobMeta {
    /// A blob of `bytes` bytes.
    #[must_use]
    pub fn new(name: BlobName, bytes: u64, created: Option<SystemTime>) -> Self {
        Self { name, bytes, created }
    }
}

/// A store that holds an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The tier's name, or the store's kind.
    pub tier: Arc<str>,
    /// Where the entry lies in it: a path or a URL; empty in memory.
    pub location: Cow<'static, str>,
}

impl Place {
    /// An entry at `location` of `tier`.
    #[must_use]
    pub fn new(tier: impl Into<Arc<str>>, location: impl Into<Cow<'static, str>>) -> Self {
        Self { tier: tier.into(), location: location.into() }
    }
}

/// All blobs of an entry, of one version of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct EntryRead {
    /// What is known of the entry.
    pub meta: EntryMeta,
    /// The blobs, in the order of their names.
    pub blobs: Vec<(BlobName, Blob)>,
}

impl EntryRead {
    /// One version of an entry.
    #[must_use]
    pub fn new(meta: EntryMeta, blobs: Vec<(BlobName, Blob)>) -> Self {
        Self { meta, blobs }
    }

    /// Opens sealed blobs, all in hand, and cuts out the part that is asked for; `None` without blobs.
    ///
    /// ```
    /// use cache_core::{BlobMeta, BlobName, Digest, EntryMeta, EntryRead, Envelope, Key};
    ///
    /// let (key, name) = (Key::from(Digest::of("k")), BlobName::DATA);
    /// let sealed = Envelope::seal(&key, &name, b"payload");
    /// let meta = EntryMeta::of_sealed(key, vec![BlobMeta::new(name.clone(), 7, None)]);
    /// assert_eq!(meta.stored_bytes, sealed.len() as u64);
    /// let mut read = EntryRead::open(meta, [(name.clone(), sealed.into())], None)?.expect("a blob");
    /// assert_eq!(read.take(&name).expect("this one").bytes().expect("in hand"), "payload");
    /// # Ok::<(), cache_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Envelope::open`] and [`slice_range`].
    pub fn open(
        meta: EntryMeta,
        sealed: impl IntoIterator<Item = (BlobName, Bytes)>,
        range: Option<ByteRange>,
    ) -> Result<Option<Self>> {
        let mut blobs = Vec::new();
        for (name, sealed) in sealed {
            let (whole, checksum) = Envelope::open(&meta.key, &name, &sealed)?;
            let part = slice_range(&whole, range)?;
            blobs.push((name, Blob::part(whole.len() as u64, part).with_checksum(checksum)));
        }
        Ok((!blobs.is_empty()).then(|| Self::new(meta, blobs)))
    }

    /// Whether there is a blob with this name.
    #[must_use]
    pub fn has(&self, name: &BlobName) -> bool {
        self.blobs.iter().any(|(found, _)| found == name)
    }

    /// Takes out the blob with this name.
    #[must_use]
    pub fn take(&mut self, name: &BlobName) -> Option<Blob> {
        let at = self.blobs.iter().position(|(found, _)| found == name)?;
        Some(self.blobs.swap_remove(at).1)
    }
}

#[cfg(test)]
mod tests;
