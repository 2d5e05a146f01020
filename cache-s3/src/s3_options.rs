use std::time::Duration;

use crate::{Secret, StoreOptions};

/// Which bucket of S3, or of a server that speaks its language, an [`S3Store`](crate::S3Store) is in, and how to reach
/// it.
///
/// Without a key here, credentials are looked for in this order: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
/// `AWS_SESSION_TOKEN`; a web identity (`AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`); the profile that
/// `AWS_PROFILE` names, else `default`, in `~/.aws/credentials` and `~/.aws/config` (static keys only); the container's
/// (ECS, EKS); the instance's (EC2). Those that expire are had anew in time, and once more if the server calls them
/// expired. Environment and files are read when the store is opened, and then.
///
/// ```
/// use cache_s3::{S3Options, StoreOptions};
///
/// let options = S3Options::new("builds")
///     .with_endpoint("http://127.0.0.1:9000")
///     .with_allow_http(true)
///     .with_credentials("minio", "minio-secret")
///     .with_store(StoreOptions::default().with_prefix("team/cache"));
/// assert!(!format!("{options:?}").contains("minio"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Options {
    /// The bucket's name.
    pub bucket: String,
    /// The region, such as `eu-central-1`. By default what `AWS_REGION` or `AWS_DEFAULT_REGION` says, then the profile,
    /// then `us-east-1`. R2 wants `auto`, Garage what its configuration says.
    pub region: Option<String>,
    /// The server's URL without the bucket, such as `https://s3.example.org`. By default what `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL` says, then the profile, then AWS in the region. Its certificate has to be one that this machine
    /// trusts; on Linux `SSL_CERT_FILE` and `SSL_CERT_DIR` say which those are. The proxies that `HTTPS_PROXY`,
    /// `HTTP_PROXY` and `NO_PROXY` name are used.
    pub endpoint: Option<String>,
    /// Whether the bucket is the first part of the host's name (`https://bucket.s3.example.org/`). Off by default: then
    /// it is the first part of the path, which all servers understand.
    pub virtual_hosted: bool,
    /// Whether the endpoint may be plain `http://`, which anybody on the way can read and change. Off by default. An
    /// endpoint from the environment is allowed it by `AWS_ALLOW_HTTP=true`, too.
    pub allow_http: bool,
    /// The access key's id. It needs the secret.
    pub access_key_id: Option<Secret>,
    /// The access key's secret.
    pub secret_access_key: Option<Secret>,
    /// The token of temporary credentials, beside the key and its secret.
    pub session_token: Option<Secret>,
    /// Whether requests go unsigned, as for public buckets. Off by default.
    pub anonymous: bool,
    /// Whether a bucket that is not there is made when the store is opened. Off by default: a bucket that is missing is
    /// more often a typing error than a wish.
    pub auto_create: bool,
    /// How long making a connection may take: at least 1 ms; 5 s by default. What the store's
    /// [`timeout`](StoreOptions::timeout) leaves over goes to further attempts.
    pub connect_timeout: Duration,
    /// How often a request that failed for a passing reason (no connection, a reset, 429, 5xx) is made again: up to
    /// 100; 3 by default. Waits between attempts grow from 50 ms to 1 s. All attempts share the store's
    /// [`timeout`](StoreOptions::timeout).
    pub retries: usize,
    /// Whether many objects are deleted by one request. On by default; off for servers that do not know
    /// `DeleteObjects`.
    pub bulk_delete: bool,
    /// How the store works in the bucket.
    pub store: StoreOptions,
}

impl S3Options {
    /// The bucket with ambient credentials, and nothing out of the ordinary.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: None,
            endpoint: None,
            virtual_hosted: false,
            allow_http: false,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            anonymous: false,
            auto_create: false,
            connect_timeout: Duration::from_secs(5),
            retries: 3,
            bulk_delete: true,
            store: StoreOptions::default(),
        }
    }

    /// Sets the region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the server's URL without the bucket.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets whether the bucket is the first part of the host's name.
    #[must_use]
    pub fn with_virtual_hosted(mut self, virtual_hosted: bool) -> Self {
        self.virtual_hosted = virtual_hosted;
        self
    }

    /// Sets whether the endpoint may be plain `http://`.
    #[must_use]
    pub fn with_allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// Sets the access key and its secret.
    #[must_use]
    pub fn with_credentials(mut self, key: impl Into<Secret>, secret: impl Into<Secret>) -> Self {
        self.access_key_id = Some(key.into());
        self.secret_access_key = Some(secret.into());
        self
    }

    /// Sets the token of temporary credentials.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<Secret>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Sets whether requests go unsigned.
    #[must_use]
    pub fn with_anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Sets whether a bucket that is not there is made when the store is opened.
    #[must_use]
    pub fn with_auto_create(mut self, create: bool) -> Self {
        self.auto_create = create;
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

    /// Sets whether many objects are deleted by one request.
    #[must_use]
    pub fn with_bulk_delete(mut self, bulk: bool) -> Self {
        self.bulk_delete = bulk;
        self
    }

    /// Sets how the store works in the bucket.
    #[must_use]
    pub fn with_store(mut self, store: StoreOptions) -> Self {
        self.store = store;
        self
    }
}
