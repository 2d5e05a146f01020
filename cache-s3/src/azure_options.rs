use std::time::Duration;

use crate::{Secret, StoreOptions};

/// Which container of Azure Blob Storage an [`S3Store`](crate::S3Store) is in, and how to reach it.
///
/// Without a key or a signature here, credentials are what the environment says (`AZURE_STORAGE_ACCOUNT_KEY`,
/// `AZURE_STORAGE_SAS_TOKEN`, `AZURE_STORAGE_TOKEN`, `AZURE_CLIENT_ID` with `AZURE_TENANT_ID` and `AZURE_CLIENT_SECRET` or
/// `AZURE_FEDERATED_TOKEN_FILE`, `AZURE_USE_AZURE_CLI`), else the machine's managed identity.
///
/// ```
/// use cache_s3::AzureOptions;
///
/// let options = AzureOptions::new("account", "builds").with_access_key("c2VjcmV0");
/// assert!(!format!("{options:?}").contains("c2VjcmV0"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AzureOptions {
    /// The storage account's name.
    pub account: String,
    /// The container's name. It has to be there.
    pub container: String,
    /// The account's key, in base64.
    pub access_key: Option<Secret>,
    /// A shared access signature, as the query of a URL: `sv=…&sig=…`. It has to allow read, write, delete and list.
    pub sas: Option<Secret>,
    /// The service's URL with the account. By default `https://{account}.blob.core.windows.net`.
    pub endpoint: Option<String>,
    /// Whether the endpoint may be plain `http://`. Off by default.
    pub allow_http: bool,
    /// Whether requests go without credentials, as for public containers. Off by default.
    pub anonymous: bool,
    /// Whether this is the emulator Azurite, at `AZURITE_BLOB_STORAGE_URL`, else `http://127.0.0.1:10000`, with its
    /// well-known key unless another is given. Off by default.
    pub emulator: bool,
    /// How long making a connection may take: at least 1 ms; 5 s by default.
    pub connect_timeout: Duration,
    /// How often a request that failed for a passing reason is made again: up to 100; 3 by default. All attempts share
    /// the store's [`timeout`](StoreOptions::timeout).
    pub retries: usize,
    /// How the store works in the container.
    pub store: StoreOptions,
}

impl AzureOptions {
    /// The container with ambient credentials, and nothing out of the ordinary.
    #[must_use]
    pub fn new(account: impl Into<String>, container: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            container: container.into(),
            access_key: None,
            sas: None,
            endpoint: None,
            allow_http: false,
            anonymous: false,
            emulator: false,
            connect_timeout: Duration::from_secs(5),
            retries: 3,
            store: StoreOptions::default(),
        }
    }

    /// Sets the account's key.
    #[must_use]
    pub fn with_access_key(mut self, key: impl Into<Secret>) -> Self {
        self.access_key = Some(key.into());
        self
    }

    /// Sets a shared access signature.
    #[must_use]
    pub fn with_sas(mut self, sas: impl Into<Secret>) -> Self {
        self.sas = Some(sas.into());
        self
    }

    /// Sets the service's URL with the account.
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

    /// Sets whether this is the emulator.
    #[must_use]
    pub fn with_emulator(mut self, emulator: bool) -> Self {
        self.emulator = emulator;
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

    /// Sets how the store works in the container.
    #[must_use]
    pub fn with_store(mut self, store: StoreOptions) -> Self {
        self.store = store;
        self
    }
}
