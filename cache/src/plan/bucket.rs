//! What a store in a bucket is opened with.

use std::sync::Arc;

use cache_core::{Metered, Result, Store};
use cache_s3::{S3Store, StoreOptions};

use crate::{Limit, TierConfig, kind::Kind};

/// A bucket, and what errors call it that do not say where they come from.
pub(super) struct Bucket {
    service: Service,
    location: String,
}

/// Which service keeps the bucket.
enum Service {
    #[cfg(feature = "s3")]
    S3(cache_s3::S3Options),
    #[cfg(feature = "gcs")]
    Gcs(cache_s3::GcsOptions),
    #[cfg(feature = "azure")]
    Azure(cache_s3::AzureOptions),
}

impl Bucket {
    #[cfg(feature = "s3")]
    pub(super) fn s3(tier: &TierConfig) -> Self {
        let by_default = cache_s3::S3Options::new(tier.bucket.as_deref().unwrap_or_default());
        let mut options = by_default
            .with_store(store(tier))
            .with_virtual_hosted(tier.virtual_hosted == Some(true))
            .with_allow_http(tier.allow_http == Some(true))
            .with_anonymous(tier.anonymous == Some(true))
            .with_auto_create(tier.auto_create == Some(true))
            .with_bulk_delete(tier.bulk_delete != Some(false));
        options.region.clone_from(&tier.region);
        options.endpoint.clone_from(&tier.endpoint);
        if let (Some(key), Some(secret)) = (&tier.access_key_id, &tier.secret_access_key) {
            options = options.with_credentials(key.reveal(), secret.reveal());
        }
        if let Some(token) = &tier.session_token {
            options = options.with_session_token(token.reveal());
        }
        options.connect_timeout = tier.connect_timeout.unwrap_or(options.connect_timeout);
        options.retries = tier.retries.unwrap_or(options.retries);
        Self::of(tier, Service::S3(options))
    }

    #[cfg(feature = "gcs")]
    pub(super) fn gcs(tier: &TierConfig) -> Self {
        let by_default = cache_s3::GcsOptions::new(tier.bucket.as_deref().unwrap_or_default());
        let mut options = by_default
            .with_store(store(tier))
            .with_allow_http(tier.allow_http == Some(true))
            .with_anonymous(tier.anonymous == Some(true));
        options.endpoint.clone_from(&tier.endpoint);
        options.service_account_path.clone_from(&tier.service_account_path);
        if let Some(key) = &tier.service_account_key {
            options = options.with_service_account_key(key.reveal());
        }
        options.connect_timeout = tier.connect_timeout.unwrap_or(options.connect_timeout);
        options.retries = tier.retries.unwrap_or(options.retries);
        Self::of(tier, Service::Gcs(options))
    }

    #[cfg(feature = "azure")]
    pub(super) fn azure(tier: &TierConfig) -> Self {
        // Without an account it is the emulator, whose is this one.
        let account = tier.account.as_deref().unwrap_or("devstoreaccount1");
        let by_default = cache_s3::AzureOptions::new(account, tier.bucket.as_deref().unwrap_or_default());
        let mut options = by_default
            .with_store(store(tier))
            .with_emulator(tier.emulator == Some(true))
            .with_allow_http(tier.allow_http == Some(true))
            .with_anonymous(tier.anonymous == Some(true));
        options.endpoint.clone_from(&tier.endpoint);
        if let Some(key) = &tier.access_key {
            options = options.with_access_key(key.reveal());
        }
        if let Some(sas) = &tier.sas {
            options = options.with_sas(sas.reveal());
        }
        options.connect_timeout = tier.connect_timeout.unwrap_or(options.connect_timeout);
        options.retries = tier.retries.unwrap_or(options.retries);
        Self::of(tier, Service::Azure(options))
    }

    fn of(tier: &TierConfig, service: Service) -> Self {
        let scheme = Kind::named(&tier.kind).map_or("", |kind| kind.scheme);
        let places = [tier.bucket.as_deref(), tier.prefix.as_deref()];
        let place = places.into_iter().flatten().collect::<Vec<_>>().join("/");
        Self { service, location: format!("{scheme}://{place}") }
    }

    pub(super) async fn open(self) -> Result<Arc<dyn Store>> {
        let opened = match self.service {
            #[cfg(feature = "s3")]
            Service::S3(options) => S3Store::open(options).await,
            #[cfg(feature = "gcs")]
            Service::Gcs(options) => S3Store::open_gcs(options).await,
            #[cfg(feature = "azure")]
            Service::Azure(options) => S3Store::open_azure(options).await,
        };
        match opened {
            Ok(store) => Ok(Arc::new(Metered::new(store))),
            Err(error) if error.detail().is_none() => Err(error.with_detail(self.location)),
            Err(error) => Err(error),
        }
    }
}

/// How the store works, wherever its bucket is.
fn store(tier: &TierConfig) -> StoreOptions {
    let mut options = StoreOptions::default()
        .with_prefix(tier.prefix.as_deref().unwrap_or_default())
        .with_max_bytes(tier.max_size.and_then(Limit::max))
        .with_max_blob_bytes(tier.max_blob.and_then(Limit::max))
        .with_owned(tier.owned == Some(true))
        .with_conditional_puts(tier.conditional_puts);
    options.timeout = tier.timeout.unwrap_or(options.timeout);
    options.min_bytes_per_second = tier.min_rate.map_or(options.min_bytes_per_second, |rate| rate.bytes());
    // What is more than there can be is refused when the store is opened.
    options.part_bytes =
        tier.part_size.map_or(options.part_bytes, |size| usize::try_from(size.bytes()).unwrap_or(usize::MAX));
    options.concurrent_parts = tier.concurrent_parts.unwrap_or(options.concurrent_parts);
    options.upload_age = tier.upload_age.unwrap_or(options.upload_age);
    options
}
