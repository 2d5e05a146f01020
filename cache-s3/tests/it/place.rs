//! A store in a bucket of a server of this process, and what goes in.

use bytes::Bytes;
use cache_core::{BlobName, Digest, Key};
use cache_s3::{S3Options, S3Store, StoreOptions};
use cache_s3_server::{Server, ServerOptions};

pub(crate) const BUCKET: &str = "bucket";

pub(crate) fn server() -> Server {
    Server::start(ServerOptions::new().with_bucket(BUCKET)).unwrap()
}

/// The bucket at an endpoint, which may be that of something in front of the server.
pub(crate) fn at(endpoint: impl Into<String>, server: &Server, options: StoreOptions) -> S3Options {
    S3Options::new(BUCKET)
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_credentials(server.key(), server.secret())
        .with_store(options)
}

pub(crate) async fn open(server: &Server, options: StoreOptions) -> S3Store {
    S3Store::open(at(server.endpoint(), server, options)).await.unwrap()
}

pub(crate) fn key(number: u64) -> Key {
    Key::from(Digest::of(number.to_le_bytes()))
}

pub(crate) fn name(name: &str) -> BlobName {
    name.parse().unwrap()
}

/// So many bytes that look like nothing in particular.
pub(crate) fn bytes(seed: u64, len: usize) -> Bytes {
    let words = (seed << 32..).map(|word: u64| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let mut bytes: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
    bytes.truncate(len);
    bytes.into()
}
