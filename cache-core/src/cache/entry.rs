use bytes::Bytes;

use crate::{
    BlobName, Cache, EntryMeta, EntryRead, Error, ErrorKind, GetOptions, KeyRef, PutEntry, PutMode,
    PutOptions, PutOutcome, Result,
};

/// The named blobs of one entry, such as the output, stdout and exit code of a command.
///
/// ```
/// # async fn run(cache: cache_core::Cache) -> cache_core::Result<()> {
/// use cache_core::Digest;
///
/// let entry = cache.entry(Digest::of("cc -c main.c"));
/// entry.put("stdout", "").await?;
/// entry.put("exit_code", "0").await?;
/// assert_eq!(entry.get("exit_code").await?.as_deref(), Some(b"0".as_slice()));
/// # Ok(())
/// # }
/// # let _ = run;
/// ```
#[derive(Clone, Debug)]
pub struct EntryHandle {
    cache: Cache,
    digest: KeyRef,
}

impl EntryHandle {
    pub(crate) fn new(cache: Cache, digest: KeyRef) -> Self {
        Self { cache, digest }
    }

    /// The blob `name` of this entry.
    ///
    /// # Errors
    ///
    /// As [`Cache::get`], and [`Invalid`](ErrorKind::Invalid) for a name that breaks the rule.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn get(&self, name: impl AsRef<str>) -> Result<Option<Bytes>> {
        let name = BlobName::new(name)?;
        self.cache.get_blob(self.digest, &name).await
    }

    /// Writes the blob `name` and leaves the others as they are. Takes a full digest only.
    ///
    /// # Errors
    ///
    /// As [`Cache::put`], and [`Invalid`](ErrorKind::Invalid) for a short digest or a name that breaks
    /// the rule.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old blob or the new one.
    pub async fn put(&self, name: impl AsRef<str>, bytes: impl Into<Bytes>) -> Result<PutOutcome> {
        let name = BlobName::new(name)?;
        let entry = PutEntry::default().with(name, bytes);
        let KeyRef::Digest(digest) = self.digest else {
            return Err(Error::new(ErrorKind::Invalid, "", "put").with_detail("a put takes a full digest"));
        };
        self.cache.put_with(digest, entry, PutOptions::mode(PutMode::Merge)).await
    }

    /// All blobs, of one version of the entry.
    ///
    /// # Errors
    ///
    /// As [`Cache::get`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn read(&self) -> Result<Option<EntryRead>> {
        let read = self.cache.fetch_entry(self.digest, GetOptions::default()).await;
        self.cache.counters().read(&read, |entry| entry.blobs.iter().map(|(_, blob)| blob.len()).sum());
        self.cache.soften(read)
    }

    /// What is known of the entry without reading it.
    ///
    /// # Errors
    ///
    /// As [`Cache::meta`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn meta(&self) -> Result<Option<EntryMeta>> {
        self.cache.meta(self.digest).await
    }
}
