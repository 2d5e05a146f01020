use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use cache_core::{Clock, Counters, Error, Result, SystemClock};
use object_store::ObjectStore;

use crate::{
    StoreOptions,
    budget::Budget,
    client::Client,
    engine::Engine,
    gate::Gate,
    locks::KeyLocks,
    object::Layout,
    probe::{Found, probe},
    provider::Handles,
    recent::RecentPuts,
};

/// A store in a bucket. Clones share it.
#[derive(Clone)]
pub struct S3Store(pub(crate) Arc<Engine>);

impl S3Store {
    /// A store in an object store of any kind. `location` is what errors and metadata call it, such as
    /// `gs://bucket`; it must not contain secrets.
    ///
    /// Listings of such a store are read whole and sorted in memory, also those of a few entries: what is ordered and
    /// by pages, an [`ObjectStore`] does not tell. How often requests are tried again is the object store's own matter.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cache_core::{Digest, Key, StoreExt};
    /// use cache_s3::{S3Store, StoreOptions};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let objects = Arc::new(object_store::memory::InMemory::new());
    /// let store = S3Store::with_object_store(objects, "memory", StoreOptions::default()).await?;
    /// store.put_bytes(&Key::from(Digest::of("k")), "value".into()).await?;
    /// # Ok::<(), cache_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`](cache_core::ErrorKind::Invalid) for options out of their ranges, and what the object store fails
    /// with while it is tried out.
    ///
    /// # Cancel safety
    ///
    /// A small object named `.probe-` and digits may be left below the prefix.
    pub async fn with_object_store(
        objects: Arc<dyn ObjectStore>,
        location: impl Into<String>,
        options: StoreOptions,
    ) -> Result<Self> {
        let handles = Handles { batches: objects.clone(), objects, pages: None };
        let prefix = options.prefix.trim_matches('/');
        let location = location.into();
        let location = if prefix.is_empty() { location } else { format!("{location}/{prefix}") };
        options.check()?;
        let client = Client::new(None, handles, &options, location);
        Self::start(client, options, Arc::new(SystemClock)).await.map_err(at_open)
    }

    /// A store in a bucket of S3, or of a server that speaks its language.
    ///
    /// Asks whether the bucket is there, and tries out with a small object what the server can do: six requests.
    ///
    /// # Errors
    ///
    /// [`Invalid`](cache_core::ErrorKind::Invalid) for options out of their ranges,
    /// [`Unavailable`](cache_core::ErrorKind::Unavailable) if the bucket or the server is not there,
    /// [`Denied`](cache_core::ErrorKind::Denied) if the credentials are refused.
    ///
    /// # Cancel safety
    ///
    /// A bucket may have been made; a small object named `.probe-` and digits may be left below the prefix.
    #[cfg(feature = "s3")]
    pub async fn open(options: crate::S3Options) -> Result<Self> {
        let store = options.store.clone();
        Self::connect(Arc::new(crate::s3::S3::new(options).map_err(at_open)?), store).await
    }

    /// A store in a bucket of Google Cloud Storage.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    #[cfg(feature = "gcs")]
    pub async fn open_gcs(options: crate::GcsOptions) -> Result<Self> {
        let store = options.store.clone();
        Self::connect(Arc::new(crate::gcs::Gcs::new(options).map_err(at_open)?), store).await
    }

    /// A store in a container of Azure Blob Storage.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    #[cfg(feature = "azure")]
    pub async fn open_azure(options: crate::AzureOptions) -> Result<Self> {
        let store = options.store.clone();
        Self::connect(Arc::new(crate::azure::Azure::new(options).map_err(at_open)?), store).await
    }

    #[cfg(test)]
    pub(crate) async fn with_clock(
        objects: Arc<dyn ObjectStore>,
        options: StoreOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let handles = Handles { batches: objects.clone(), objects, pages: None };
        let client = Client::new(None, handles, &options, "memory".to_owned());
        Self::start(client, options, clock).await
    }

    #[cfg(test)]
    pub(crate) async fn of(client: Client, options: StoreOptions) -> Result<Self> {
        Self::start(client, options, Arc::new(SystemClock)).await
    }

    /// A store that a service keeps.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    pub(crate) async fn connect(
        provider: Arc<dyn crate::provider::Provider>,
        options: StoreOptions,
    ) -> Result<Self> {
        let open = async {
            options.check()?;
            provider.check().await?;
            let (handles, location) = (provider.connect()?, provider.location(&options.prefix));
            let client = Client::new(Some(provider), handles, &options, location);
            Self::start(client, options, Arc::new(SystemClock)).await
        };
        open.await.map_err(at_open)
    }

    async fn start(client: Client, options: StoreOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let layout = Layout::new(&options.prefix);
        let found = match options.conditional_puts {
            Some(is_conditional) => Found { is_conditional, knows_suffixes: true },
            None => probe(&client, &layout).await?,
        };
        Ok(Self(Arc::new(Engine {
            // What a store does not own it does not evict, even if it is switched off.
            budget: options.max_bytes.filter(|_| options.owned).map(Budget::new),
            client,
            layout,
            counters: Counters::default(),
            clock,
            gate: Gate::default(),
            locks: KeyLocks::default(),
            recent: RecentPuts::default(),
            is_conditional: found.is_conditional,
            knows_suffixes: AtomicBool::new(found.knows_suffixes),
            unflushed: AtomicU64::new(0),
            cleaning: Arc::default(),
            options,
        })))
    }
}

fn at_open(error: Error) -> Error {
    error.at("s3", "open")
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("location", &self.0.client.location()).finish_non_exhaustive()
    }
}
