use std::{error::Error as StdError, fmt, future::Future, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    BlobName, Cache, Codec, ComputeOptions, Digest, KeyRef, PutEntry, PutOutcome, Result,
    cache::coded::{Coded, failed},
};

/// A cache of values of one type.
///
/// A value is stored as the blob `data`: a header that names the codec and the schema, and the bytes
/// of the codec. What is there but cannot be taken (a raw blob, another codec or schema, another type)
/// is a miss and counted under `mismatches`, unless [`report_mismatch`](Self::report_mismatch) asks for
/// the error: so a new schema makes old values vanish one by one and needs no cleaning.
///
/// ```
/// # #[cfg(feature = "json")]
/// # async fn run(cache: cache_core::Cache) -> cache_core::Result<()> {
/// use cache_core::{Digest, Json};
///
/// let sizes = cache.typed::<(u32, u32), Json>();
/// let digest = Digest::of("cat.png");
/// sizes.put(digest, &(640, 480)).await?;
/// assert_eq!(sizes.get(digest).await?, Some((640, 480)));
/// let other = Digest::of("dog.png");
/// let size = sizes.get_or_compute(other, || async { Ok::<_, std::io::Error>((800, 600)) }).await?;
/// assert_eq!(size, (800, 600));
/// # Ok(())
/// # }
/// ```
pub struct TypedCache<T, C> {
    coded: Coded<C>,
    values: PhantomData<fn() -> T>,
}

impl Cache {
    /// This namespace as a cache of values of one type.
    #[must_use]
    pub fn typed<T, C: Codec + Default>(&self) -> TypedCache<T, C> {
        self.typed_with(C::default())
    }

    /// [`typed`](Self::typed) with a codec that has settings of its own.
    #[must_use]
    pub fn typed_with<T, C: Codec>(&self, codec: C) -> TypedCache<T, C> {
        TypedCache { coded: Coded::new(self.clone(), codec), values: PhantomData }
    }
}

impl<T, C: Codec> TypedCache<T, C> {
    /// Sets the version of the type's shape, 0 by default. Values of other versions are not read.
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

    /// A view of the namespace `part` below this one.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) if `part` is not one safe path component.
    pub fn namespace(&self, part: impl AsRef<str>) -> Result<Self> {
        let mut view = self.clone();
        view.coded.cache = self.coded.cache.namespace(part)?;
        Ok(view)
    }

    /// The cache below, without types.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.coded.cache
    }

    /// Whether there is an entry, of this type or not.
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

    /// Removes the entry; one that is not there is fine.
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
}

impl<T: Serialize, C: Codec> TypedCache<T, C> {
    /// Makes `value` the whole value of `digest`.
    ///
    /// # Errors
    ///
    /// [`Codec`](crate::ErrorKind::Codec) if it cannot be encoded: nothing is stored then. Else as
    /// [`Cache::put`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old value or the new one.
    pub async fn put(&self, digest: Digest, value: &T) -> Result<PutOutcome> {
        self.coded.put(digest, value).await
    }
}

impl<T: DeserializeOwned, C: Codec> TypedCache<T, C> {
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
    pub async fn get(&self, digest: impl Into<KeyRef>) -> Result<Option<T>> {
        self.coded.get(digest.into(), &BlobName::DATA).await
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
    pub async fn load(&self, digest: impl Into<KeyRef>) -> Result<T> {
        self.coded.load(digest.into()).await
    }
}

impl<T, C> TypedCache<T, C>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    /// The value of `digest`; if there is none, that which `f` computes, and which is stored.
    ///
    /// Many who ask at once share one computation. What cannot be taken is computed and replaced.
    ///
    /// # Errors
    ///
    /// [`Compute`](crate::ErrorKind::Compute) if `f` fails, with its error as the source, and
    /// [`Codec`](crate::ErrorKind::Codec) if its value cannot be encoded: nothing is stored then. Else as
    /// [`get`](Self::get) and [`put`](Self::put).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old value or the new one. A computation ends with the last one
    /// that waits for it.
    pub async fn get_or_compute<F, Fut, E>(&self, digest: Digest, f: F) -> Result<T>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.get_or_compute_with(digest, ComputeOptions::default(), f).await
    }

    /// [`get_or_compute`](Self::get_or_compute) with a deadline of its own and a word on the size.
    ///
    /// # Errors
    ///
    /// As [`Cache::get_or_compute_with`], and [`Codec`](crate::ErrorKind::Codec) if the value cannot be encoded.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_compute`](Self::get_or_compute).
    pub async fn get_or_compute_with<F, Fut, E>(
        &self,
        digest: Digest,
        options: ComputeOptions,
        f: F,
    ) -> Result<T>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let coded = self.coded.clone();
        let compute = move || async move {
            let value = f().await.map_err(|error| failed(&coded.cache, digest, "get_or_compute", error))?;
            coded.encode(digest, "get_or_compute", &value).map(PutEntry::data)
        };
        self.coded.compute(digest, &BlobName::DATA, options, compute).await
    }
}

impl<T, C: Clone> Clone for TypedCache<T, C> {
    fn clone(&self) -> Self {
        Self { coded: self.coded.clone(), values: PhantomData }
    }
}

impl<T, C: fmt::Debug> fmt::Debug for TypedCache<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCache").field("coded", &self.coded).finish()
    }
}

#[cfg(test)]
mod tests;
