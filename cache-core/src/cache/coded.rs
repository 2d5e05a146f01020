//! Typed blobs of a cache, of any type: what all typed handles are made of.

use std::{
    error::Error as StdError,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::FutureExt;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    BlobName, Cache, Codec, ComputeOptions, Digest, Error, ErrorKind, KeyRef, PutEntry, PutOutcome, Result,
    cache::{Accept, Wanted},
    flight::ComputedBytes,
    typed_blob,
};

#[derive(Clone, Debug)]
pub(crate) struct Coded<C> {
    pub(crate) cache: Cache,
    pub(crate) codec: C,
    pub(crate) schema: u32,
    pub(crate) report_mismatch: bool,
}

impl<C: Codec> Coded<C> {
    pub(crate) fn new(cache: Cache, codec: C) -> Self {
        Self { cache, codec, schema: 0, report_mismatch: false }
    }

    pub(crate) fn encode<T>(&self, digest: Digest, operation: &'static str, value: &T) -> Result<Bytes>
    where
        T: Serialize + ?Sized,
    {
        typed_blob::encode(&self.codec, self.schema, value)
            .map_err(|error| error.at(self.cache.info().kind, operation).with_key(&self.cache.key(digest)))
    }

    fn decode<T: DeserializeOwned>(&self, digest: KeyRef, bytes: &Bytes) -> Result<T> {
        typed_blob::decode(&self.codec, self.schema, bytes).map_err(|error| {
            let error = error.at(self.cache.info().kind, "get");
            match digest {
                KeyRef::Digest(digest) => error.with_key(&self.cache.key(digest)),
                KeyRef::Prefix(_) => error,
            }
        })
    }

    pub(crate) async fn put<T: Serialize + ?Sized>(&self, digest: Digest, value: &T) -> Result<PutOutcome> {
        let bytes = self.encode(digest, "put", value)?;
        self.cache.put(digest, bytes).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        digest: KeyRef,
        blob: &BlobName,
    ) -> Result<Option<T>> {
        let (read, counters) = (self.cache.fetch(digest, blob).await, self.cache.counters());
        let Ok(Some(bytes)) = &read else {
            counters.read(&read, |_| 0);
            return self.cache.soften(read).map(|_| None);
        };
        match self.decode(digest, bytes) {
            Ok(value) => {
                counters.hit(bytes.len() as u64);
                Ok(Some(value))
            }
            Err(error) => {
                counters.miss();
                counters.mismatch();
                if self.report_mismatch { Err(error) } else { Ok(None) }
            }
        }
    }

    pub(crate) async fn load<T: DeserializeOwned>(&self, digest: KeyRef) -> Result<T> {
        match self.get(digest, &BlobName::DATA).await? {
            Some(value) => Ok(value),
            None => Err(absent(&self.cache, digest, "load")),
        }
    }

    /// The value of the blob `blob`, which `f` makes if it is not there or not a `T`.
    pub(crate) async fn compute<T, F, Fut>(
        &self,
        digest: Digest,
        blob: &BlobName,
        options: ComputeOptions,
        f: F,
    ) -> Result<T>
    where
        T: DeserializeOwned + Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<PutEntry>> + Send + 'static,
    {
        let seen = Arc::new(Seen::default());
        let accept = {
            let (this, seen) = (self.clone(), Arc::clone(&seen));
            move |bytes: &Bytes| this.report_mismatch || this.accept(digest, bytes, &seen)
        };
        let keep = (self.clone(), blob.clone(), Arc::clone(&seen));
        let mut f = Some((f, keep));
        let mut entry = || {
            let (f, (this, blob, seen)) = f.take()?;
            let entry = async move {
                let entry = f().await?;
                // What could not be read back is not stored.
                if let Some(bytes) = entry.in_hand(&blob) {
                    seen.keep(bytes, this.decode(digest.into(), bytes)?);
                }
                Ok(entry)
            };
            Some(entry.boxed())
        };
        let accept = Accept { form: self.form(), will_do: Some(Arc::new(accept)) };
        let wanted = Wanted { key: self.cache.key(digest), blob, accept, options };
        let mut computed = self.cache.compute_entry(&wanted, &mut entry).await;
        let value = match &mut computed {
            Ok(ComputedBytes { bytes, hit }) => match seen.value_of(bytes) {
                Some(value) => Ok(value),
                None => self.decode(digest.into(), bytes).inspect_err(|_| {
                    *hit = false;
                    seen.tell(&self.cache);
                }),
            },
            Err(error) => Err(error.clone()),
        };
        self.cache.count_computed(&computed);
        value
    }

    /// Tells codecs and schemas apart.
    fn form(&self) -> u64 {
        let [a, b, c, d] = self.codec.id().to_bytes();
        let [e, f, g, h] = self.schema.to_be_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn accept<T: DeserializeOwned>(&self, digest: Digest, bytes: &Bytes, seen: &Seen<T>) -> bool {
        match self.decode(digest.into(), bytes) {
            Ok(value) => {
                seen.keep(bytes, value);
                true
            }
            Err(_) => {
                seen.tell(&self.cache);
                false
            }
        }
    }
}

/// What was decoded to see whether it can be: a hit is decoded once.
struct Seen<T> {
    value: Mutex<Option<(Bytes, T)>>,
    told: AtomicBool,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { value: Mutex::new(None), told: AtomicBool::new(false) }
    }
}

impl<T> Seen<T> {
    fn keep(&self, bytes: &Bytes, value: T) {
        let before =
            self.value.lock().unwrap_or_else(PoisonError::into_inner).replace((bytes.clone(), value));
        drop(before);
    }

    /// Counts the mismatch of a call once: a blob may be looked at twice before it is computed anew.
    fn tell(&self, cache: &Cache) {
        if !self.told.swap(true, Ordering::Relaxed) {
            cache.counters().mismatch();
        }
    }

    /// The value, if it was decoded from these very bytes.
    fn value_of(&self, bytes: &Bytes) -> Option<T> {
        let (from, value) = self.value.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        (from.as_ptr() == bytes.as_ptr() && from.len() == bytes.len()).then_some(value)
    }
}

/// The error for something that had to be there: it tells the namespace and the digest.
pub(crate) fn absent(cache: &Cache, digest: KeyRef, operation: &'static str) -> Error {
    let error = Error::new(ErrorKind::NotFound, cache.info().kind, operation);
    match digest {
        KeyRef::Digest(digest) => error.with_key(&cache.key(digest)),
        KeyRef::Prefix(prefix) if cache.address().is_root() => {
            error.with_detail(format!("no digest starts with {prefix}"))
        }
        KeyRef::Prefix(prefix) => {
            error.with_detail(format!("no digest in {} starts with {prefix}", cache.address()))
        }
    }
}

/// The error for a computation that failed.
pub(crate) fn failed(
    cache: &Cache,
    digest: Digest,
    operation: &'static str,
    source: impl Into<Box<dyn StdError + Send + Sync>>,
) -> Error {
    Error::new(ErrorKind::Compute, cache.info().kind, operation)
        .with_key(&cache.key(digest))
        .with_source(source)
}
