use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Secret, StoreOptions};

/// Which bucket of Google Cloud Storage an [`S3Store`](crate::S3Store) is in, and how to reach it.
///
/// Without a service account here, credentials are looked for in this order: the service account that
/// `GOOGLE_SERVICE_ACCOUNT` (a file) or `GOOGLE_SERVICE_ACCOUNT_KEY` (its text) names; the application's default
/// credentials (`GOOGLE_APPLICATION_CREDENTIALS`, or what `gcloud auth application-default login` wrote); the machine's.
///
/// ```
/// use cache_s3::{GcsOptions, StoreOptions};
///
/// let options = GcsOptions::new("builds").with_store(StoreOptions::default().with_prefix("team/cache"));
/// assert_eq!(options.bucket, "builds");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcsOptions {
    /// The bucket's name. It has to be there.
    pub bucket: String,
    /// The service account: the file with its key, as JSON. Not together with the key itself.
    pub service_account_path: Option<PathBuf>,
    /// The service account's key itself, as JSON.
    pub service_account_key: Option<Secret>,
    /// The server's URL, such as that of an emulator. By default what the service account says (`gcs_base_url`), then
    /// `https://storage.googleapis.com`.
    pub endpoint: Option<String>,
    /// Whether the endpoint may be plain `http://`. Off by default.
    pub allow_http: bool,
    /// Whether requests go without credentials, as for public buckets and emulators. Off by default.
    pub anonymous: bool,
    /// How long making a connection may take: at least 1 ms; 5 s by default.
    pub connect_timeout: Duration,
    /// How often a request that failed for a passing reason is made again: up to 100; 3 by default. All attempts share
    /// the store's [`timeout`](StoreOptions::timeout).
    pub retries: usize,
    /// How the store works in the bucket.
    pub store: StoreOptions,
}

impl GcsOptions {
    /// The bucket with ambient credentials, and nothing out of the ordinary.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            service_account_path: None,
            service_account_key: None,
            endpoint: None,
            allow_http: false,
            anonymous: false,
            connect_timeout: Duration::from_secs(5),
            retries: 3,
            store: StoreOptions::default(),
        }
    }

    /// Sets the file with the service account's key.
    #[must_use]
    pub fn with_service_account_path(mut self, path: impl AsRef<Path>) -> Self {
        self.service_account_path = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the service account's key itself, as JSON.
    #[must_use]
    pub fn with_service_account_key(mut self, key: impl Into<Secret>) -> Self {
        self.service_account_key = Some(key.into());
        self
    }

    /// Sets the server's URL.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets whether the endpoint may be plain `http://`.
    #[must_use]
    pub fn with_allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Sets whether requests go without credentials.
    #[must_use]
    pub fn with_anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Sets how long making a connection may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how often a request that failed for a passing reason is made again.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// Sets how the store works in the bucket.
    #[must_use]
    pub fn with_store(mut self, store: StoreOptions) -> Self {
        self.store = store;
        self
    }
}
