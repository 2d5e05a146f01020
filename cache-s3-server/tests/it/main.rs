//! The server as a client sees it, and what tests reach behind a client's back.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use cache_s3_server::{Server, ServerOptions};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder},
};

mod conditions;
mod contents;
mod disturbed;
mod faults;
mod lifecycle;
mod protocol;

const BUCKET: &str = "bucket";

fn server() -> Server {
    Server::start(ServerOptions::new().with_bucket(BUCKET)).unwrap()
}

/// No attempt is made again.
fn impatient() -> (RetryConfig, ClientOptions) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry =
        RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, backoff: BackoffConfig::default() };
    (retry, ClientOptions::new().with_allow_http(true).with_timeout(Duration::from_secs(30)))
}

fn builder(endpoint: &str) -> AmazonS3Builder {
    let (retry, options) = impatient();
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_region("us-east-1")
        .with_access_key_id("AKIDTEST")
        .with_secret_access_key("SECRETTEST")
        .with_bucket_name(BUCKET)
        .with_retry(retry)
        .with_client_options(options)
}

fn client(endpoint: &str) -> AmazonS3 {
    builder(endpoint).build().unwrap()
}

fn google(endpoint: &str) -> GoogleCloudStorage {
    let (retry, options) = impatient();
    let account = format!(
        r#"{{"private_key":"none","private_key_id":"none","client_email":"none","disable_oauth":true,"gcs_base_url":"{endpoint}"}}"#
    );
    GoogleCloudStorageBuilder::new()
        .with_service_account_key(account)
        .with_bucket_name(BUCKET)
        .with_retry(retry)
        .with_client_options(options)
        .build()
        .unwrap()
}
