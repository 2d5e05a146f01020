//! Google Cloud Storage.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use cache_core::{Error, Result};
use http::{Method, header::AUTHORIZATION};
use object_store::{
    ClientOptions, ObjectStore,
    client::{HttpRequest, HttpRequestBody},
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey as Key},
    multipart::MultipartStore,
    path::Path,
};
use reqwest::Url;

use crate::{
    GcsOptions, endpoint,
    failure::from_object_store,
    http::{Connector, exchange, within},
    provider::{Handles, Provider, Upload, below},
    remote::{check_listing, check_name, is_header},
    unfinished,
};

const DEFAULT_ENDPOINT: &str = "https://storage.googleapis.com";

/// By what credentials are had; all of the rest of the environment is left alone.
const AMBIENT: [Key; 4] =
    [Key::ServiceAccount, Key::ServiceAccountKey, Key::ApplicationCredentials, Key::BearerToken];

/// A bucket, and how to reach it.
pub(crate) struct Gcs {
    options: GcsOptions,
    /// The endpoint of the options, as all read it who read URLs.
    endpoint: Option<String>,
    connector: Connector,
    /// What was connected last.
    current: ArcSwapOption<GoogleCloudStorage>,
}

impl Gcs {
    /// Checks the options.
    pub(crate) fn new(options: GcsOptions) -> Result<Self> {
        endpoint::check(options.connect_timeout, options.retries, &options.store)?;
        check_name("bucket", &options.bucket)?;
        if options.service_account_path.is_some() && options.service_account_key.is_some() {
            return Err(Error::invalid("service_account_key: there is a file, too"));
        }
        let endpoint = options.endpoint.as_deref();
        let endpoint = endpoint.map(|endpoint| endpoint::parse(endpoint, options.allow_http)).transpose()?;
        let tls = endpoint.as_ref().is_none_or(|endpoint| endpoint.scheme() == "https");
        let endpoint = endpoint.map(|endpoint| endpoint.as_str().trim_end_matches('/').to_owned());
        let settings = endpoint::settings(options.connect_timeout, options.retries, &options.store, tls);
        Ok(Self { options, endpoint, connector: Connector::new(settings)?, current: ArcSwapOption::empty() })
    }

    fn connected(&self) -> Result<Arc<GoogleCloudStorage>> {
        match self.current.load_full() {
            Some(gcs) => Ok(gcs),
            None => self.connect_anew(),
        }
    }

    fn connect_anew(&self) -> Result<Arc<GoogleCloudStorage>> {
        let options = &self.options;
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&options.bucket)
            .with_http_connector(self.connector.clone())
            .with_retry(endpoint::retry(options.retries, &options.store))
            .with_client_options(ClientOptions::new().with_allow_http(options.allow_http))
            .with_skip_signature(options.anonymous);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_base_url(endpoint);
        }
        builder = if options.anonymous {
            // Nothing is looked for then.
            builder.with_bearer_token("")
        } else if let Some(path) = &options.service_account_path {
            let path = path.to_str().ok_or_else(|| Error::invalid("service_account_path: not UTF-8"))?;
            builder.with_service_account_path(path)
        } else if let Some(key) = &options.service_account_key {
            builder.with_service_account_key(key.reveal())
        } else {
            let environment = GoogleCloudStorageBuilder::from_env();
            AMBIENT.into_iter().try_fold(builder, |builder, key| {
                match environment.get_config_value(&key) {
                    // object_store panics at it.
                    Some(token) if key == Key::BearerToken && !is_header(&token) => Err(Error::invalid(
                        "the environment's bearer token has characters that no header has",
                    )),
                    Some(value) if !value.trim().is_empty() => Ok(builder.with_config(key, value)),
                    _ => Ok(builder),
                }
            })?
        };
        let gcs = Arc::new(builder.build().map_err(unusable)?);
        self.current.store(Some(gcs.clone()));
        Ok(gcs)
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        let gcs = self.connected()?;
        let base = self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let mut url = Url::parse(&format!("{base}/{}", self.options.bucket))
            .map_err(|_| Error::invalid("endpoint: makes no URL with the bucket"))?;
        url.query_pairs_mut().extend_pairs([
            ("uploads", ""),
            ("max-uploads", unfinished::PAGE),
            ("prefix", prefix),
        ]);
        let bearer = match self.options.anonymous {
            true => None,
            false => Some(gcs.credentials().get_credential().await.map_err(from_object_store)?),
        };
        let request = || {
            let invalid = |error: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
                store: "GCS",
                source: error,
            };
            let mut request = HttpRequest::new(HttpRequestBody::empty());
            *request.method_mut() = Method::GET;
            *request.uri_mut() =
                url.as_str().parse().map_err(|error| invalid(Box::<http::uri::InvalidUri>::new(error)))?;
            if let Some(credential) = &bearer {
                let value = http::HeaderValue::from_str(&format!("Bearer {}", credential.bearer));
                let mut value = value.map_err(|error| invalid(Box::new(error)))?;
                value.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, value);
            }
            Ok(request)
        };
        let client = self.connector.client(self.options.allow_http);
        let reply = exchange(&client, self.options.retries, request).await?;
        if reply.status.is_success() {
            // An emulator may give a listing of objects instead.
            return Ok(unfinished::parse(&reply.body).unwrap_or_default());
        }
        if reply.answer().is_unsupported() { Ok(Vec::new()) } else { Err(reply.into_error()) }
    }
}

#[async_trait]
impl Provider for Gcs {
    fn connect(&self) -> Result<Handles> {
        let gcs = self.connect_anew()?;
        let objects: Arc<dyn ObjectStore> = gcs.clone();
        Ok(Handles { batches: objects.clone(), objects, pages: Some(gcs) })
    }

    fn renews(&self) -> bool {
        !self.options.anonymous
    }

    fn location(&self, prefix: &str) -> String {
        let bucket = &self.options.bucket;
        let location = match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/{bucket}"),
            None => format!("gs://{bucket}"),
        };
        below(location, prefix)
    }

    async fn check(&self) -> Result<()> {
        let what = format!("bucket `{}`", self.options.bucket);
        let store = &self.options.store;
        within(store.timeout, "open", async {
            check_listing(self.connected()?.as_ref(), &store.prefix, &what).await
        })
        .await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        within(self.options.store.timeout, "clean", self.list_uploads(prefix)).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        within(self.options.store.timeout, "clean", async {
            let path = Path::parse(&upload.object).map_err(|error| from_object_store(error.into()))?;
            match self.connected()?.abort_multipart(&path, &upload.id).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(from_object_store(error)),
            }
        })
        .await
    }
}

impl fmt::Debug for Gcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcs").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The error of a client that cannot be made. What is wrong with a key is not told in words that quote it.
fn unusable(error: object_store::Error) -> Error {
    let text = error.to_string();
    if text.contains("Unable to decode") || text.contains("reading pem") {
        return Error::invalid("the service account's key is not its JSON, or has no private key in PEM");
    }
    from_object_store(error)
}

#[cfg(test)]
mod tests;
