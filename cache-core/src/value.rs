use futures::stream::BoxStream;
use serde::{Serialize, de::DeserializeOwned};

use crate::{BlobName, Cache, Codec, Digest, EntryMeta, KeyRef, ListOptions, Result, cache::coded::Coded};

/// Values of any type, each under the digest of itself unless another one is given.
///
/// Values are stored as those of a [`TypedCache`](crate::TypedCache) are, and what cannot be taken is a
/// miss in the same way. Values of different types can have one digest, such as `(1, 2)` and `vec![1, 2]`:
/// the last that was saved is there. With a codec that stores nothing of a type's shape, as `Postcard`, it
/// may be read as a wrong value of the other type, so give each type a namespace of its own there.
///
/// ```
/// # #[cfg(feature = "json")]
/// # async fn run(cache: cache_core::Cache) -> cache_core::Result<()> {
/// use cache_core::{Json, ValueStore};
///
/// let values = ValueStore::<Json>::new(cache.namespace("values")?);
/// let digest = values.save(&["a", "list"]).await?;
/// let read: Vec<String> = values.load(digest.prefix(8)).await?;
/// assert_eq!(read, ["a", "list"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ValueStore<C> {
    coded: Coded<C>,
}

impl<C: Codec> ValueStore<C> {
    /// The values in the namespace that `cache` looks in.
    #[must_use]
    pub fn new(cache: Cache) -> Self
    where
        C: Default,
    {
        Self::with_codec(cache, C::default())
    }

    /// [`new`](Self::new) with a codec that has settings of its own.
    #[must_use]
    pub fn with_codec(cache: Cache, codec: C) -> Self {
        Self { coded: Coded::new(cache, codec) }
    }

    /// Sets the version of the values' shapes, 0 by default. Values of other versions are not read.
    #[must_use]
    pub fn with_schema(mut self, version: u32) -> Self {
        self.coded.schema = version;
        self
    }

    /// Answers a value that cannot be taken as an error of kind [`Codec`](crate::ErrorKind::Codec) instead
    /// of a miss.
    #[must_use]
    pub fn report_mismatch(mut self) -> Self {
        self.coded.report_mismatch = true;
        self
    }

    /// The cache below, without types.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.coded.cache
    }

    /// Stores `value` under [the digest of itself](Digest::of_serialize), which is the answer, also if the
    /// store refuses the value by policy.
    ///
    /// # Errors
    ///
    /// [`Codec`](crate::ErrorKind::Codec) if it cannot be encoded: nothing is stored then. Else as
    /// [`Cache::put`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the value stored or not.
    pub async fn save<T: Serialize + ?Sized>(&self, value: &T) -> Result<Digest> {
        self.save_as(Digest::of_serialize(value)?, value).await
    }

    /// Stores `value` under `digest`, in place of any other, and answers the digest.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old value or the new one.
    pub async fn save_as<T: Serialize + ?Sized>(&self, digest: Digest, value: &T) -> Result<Digest> {
        self.coded.put(digest, value).await?;
        Ok(digest)
    }

    /// The value of `digest`, which has to be there.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), which tells the namespace and the digest, if it is not.
    /// Else as [`get`](Self::get).
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::get`].
    pub async fn load<T: DeserializeOwned>(&self, digest: impl Into<KeyRef>) -> Result<T> {
        self.coded.load(digest.into()).await
    }

    /// The value of `digest`.
    ///
    /// # Errors
    ///
    /// As [`Cache::get`]; [`Codec`](crate::ErrorKind::Codec) for a value that cannot be taken, if that was
    /// asked for.
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::get`].
    pub async fn get<T: DeserializeOwned>(&self, digest: impl Into<KeyRef>) -> Result<Option<T>> {
        self.coded.get(digest.into(), &BlobName::DATA).await
    }

    /// Whether there is a value, of whatever type.
    ///
    /// # Errors
    ///
    /// As [`Cache::contains`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn contains(&self, digest: impl Into<KeyRef>) -> Result<bool> {
        self.coded.cache.contains(digest).await
    }

    /// Removes the value; one that is not there is fine.
    ///
    /// # Errors
    ///
    /// As [`Cache::evict`].
    ///
    /// # Cancel safety
    ///
    /// As [`Cache::evict`].
    pub async fn evict(&self, digest: impl Into<KeyRef>) -> Result<()> {
        self.coded.cache.evict(digest).await
    }

    /// The values that are there, ascending by digest.
    ///
    /// # Errors
    ///
    /// As [`Cache::list`].
    pub fn list(&self) -> Result<BoxStream<'static, Result<EntryMeta>>> {
        self.coded.cache.list(ListOptions::default())
    }
}

#[cfg(test)]
mod tests;
