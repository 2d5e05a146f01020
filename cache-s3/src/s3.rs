//! S3, and servers that speak its language.

mod ambient;
mod bucket;
mod environment;

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use cache_core::{Error, Result};
use http::Method;
use object_store::{
    ClientOptions, ObjectStore,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    multipart::MultipartStore,
    path::Path,
};

use crate::{
    S3Options, endpoint,
    failure::from_object_store,
    http::{Connector, within},
    provider::{Handles, Provider, Upload, below},
    unfinished,
};
use ambient::Ambient;
use environment::Environment;

/// The default of AWS and of those who follow it.
const DEFAULT_REGION: &str = "us-east-1";

/// A bucket, and how to reach it.
pub(crate) struct S3 {
    options: S3Options,
    /// What this machine says; it may say something else the next time.
    environment: Box<dyn Fn() -> Environment + Send + Sync>,
    connector: Connector,
    /// What was connected last.
    current: ArcSwapOption<Connected>,
}

/// A bucket with the credentials of now.
struct Connected {
    s3: AmazonS3,
    /// The same with requests that delete many objects, if the server knows those.
    batches: AmazonS3,
    /// The bucket's own URL.
    url: String,
    /// What errors call the bucket.
    location: String,
    region: String,
    allow_http: bool,
}

impl S3 {
    /// Checks the options, and reads what this machine says where they say nothing.
    pub(crate) fn new(options: S3Options) -> Result<Self> {
        Self::with(options, Environment::read)
    }

    fn with(
        options: S3Options,
        environment: impl Fn() -> Environment + Send + Sync + 'static,
    ) -> Result<Self> {
        endpoint::check(options.connect_timeout, options.retries, &options.store)?;
        bucket::check_name(&options.bucket, options.endpoint.is_none())?;
        check_credentials(&options)?;
        let tls = Ambient::new(&options, &environment())?.url(&options)?.scheme() == "https";
        let settings = endpoint::settings(options.connect_timeout, options.retries, &options.store, tls);
        let connector = Connector::new(settings)?;
        Ok(Self { options, environment: Box::new(environment), connector, current: ArcSwapOption::empty() })
    }

    /// Whether it is a directory bucket of S3 Express, which has its own host, sessions, and no order of names.
    fn is_express(&self) -> bool {
        self.options.bucket.ends_with("--x-s3")
    }

    fn connected(&self) -> Result<Arc<Connected>> {
        match self.current.load_full() {
            Some(connected) => Ok(connected),
            None => self.connect_anew(),
        }
    }

    fn connect_anew(&self) -> Result<Arc<Connected>> {
        let options = &self.options;
        let ambient = Ambient::new(options, &(self.environment)())?;
        let url = ambient.url(options)?;
        let allow_http = url.scheme() == "http";
        let region = ambient.region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&options.bucket)
            .with_region(&region)
            .with_http_connector(self.connector.clone())
            .with_retry(endpoint::retry(options.retries, &options.store))
            .with_client_options(ClientOptions::new().with_allow_http(allow_http))
            .with_skip_signature(options.anonymous)
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true");
        let url = url.as_str().trim_end_matches('/').to_owned();
        builder = if self.is_express() && ambient.endpoint.is_none() {
            builder.with_s3_express(true)
        } else {
            // The whole URL is ours: with this, object_store adds nothing to it.
            builder.with_endpoint(&url).with_virtual_hosted_style_request(true)
        };
        let s3 = ambient.sign(builder.clone()).build().map_err(from_object_store)?;
        // One deletion in a batch would be more than a plain one.
        let batches = builder
            .with_credentials(s3.credentials().clone())
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, (!options.bulk_delete).to_string());
        let batches = batches.build().map_err(from_object_store)?;
        // Two servers may have buckets of one name.
        let location =
            if ambient.endpoint.is_some() { url.clone() } else { format!("s3://{}", options.bucket) };
        let connected = Arc::new(Connected { s3, batches, url, location, region, allow_http });
        self.current.store(Some(connected.clone()));
        Ok(connected)
    }
}

#[async_trait]
impl Provider for S3 {
    fn connect(&self) -> Result<Handles> {
        let connected = self.connect_anew()?;
        let s3 = Arc::new(connected.s3.clone());
        let objects: Arc<dyn ObjectStore> = s3.clone();
        let batches = Arc::new(connected.batches.clone());
        Ok(Handles { objects, batches, pages: if self.is_express() { None } else { Some(s3) } })
    }

    fn renews(&self) -> bool {
        self.options.access_key_id.is_none() && !self.options.anonymous
    }

    fn location(&self, prefix: &str) -> String {
        let location = match self.connected() {
            Ok(connected) => connected.location.clone(),
            Err(_) => format!("s3://{}", self.options.bucket),
        };
        below(location, prefix)
    }

    async fn check(&self) -> Result<()> {
        within(self.options.store.timeout, "open", self.check_bucket()).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        if self.is_express() {
            return Ok(Vec::new());
        }
        within(self.options.store.timeout, "clean", async {
            let query = [("uploads", ""), ("max-uploads", unfinished::PAGE), ("prefix", prefix)];
            let reply = self.send(&Method::GET, &query, String::new()).await?;
            if reply.status.is_success() {
                return unfinished::parse(&reply.body)
                    .ok_or_else(|| bucket::not_s3("a listing of uploads", &reply.body));
            }
            if reply.answer().is_unsupported() { Ok(Vec::new()) } else { Err(reply.into_error()) }
        })
        .await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        within(self.options.store.timeout, "clean", async {
            let path = Path::parse(&upload.object).map_err(|error| from_object_store(error.into()))?;
            match self.connected()?.s3.abort_multipart(&path, &upload.id).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(from_object_store(error)),
            }
        })
        .await
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Whether the options' credentials are whole, and may stand in a header.
fn check_credentials(options: &S3Options) -> Result<()> {
    let secret = options.secret_access_key.as_ref();
    if options.access_key_id.is_some() != secret.is_some() {
        return Err(Error::invalid("access_key_id: a key and its secret need each other"));
    }
    if options.session_token.is_some() && secret.is_none() {
        return Err(Error::invalid("session_token: needs the key that it belongs to"));
    }
    if options.anonymous && secret.is_some() {
        return Err(Error::invalid("anonymous: there are credentials, too"));
    }
    let texts = [
        ("access_key_id", options.access_key_id.as_ref().map(crate::Secret::reveal)),
        ("secret_access_key", secret.map(crate::Secret::reveal)),
        ("session_token", options.session_token.as_ref().map(crate::Secret::reveal)),
    ];
    for (name, text) in texts {
        if text.is_some_and(|text| !is_credential(text)) {
            return Err(Error::invalid(format!("{name}: not printable ASCII without spaces")));
        }
    }
    Ok(())
}

/// Whether a text may stand in a header.
fn is_credential(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
