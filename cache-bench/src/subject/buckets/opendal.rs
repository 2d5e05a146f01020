use bytes::Bytes;
use cache_core::{ByteStream, Digest, DigestPrefix};
use futures::{StreamExt, TryStreamExt};
use opendal::{Operator, services::S3};

use crate::{
    failure::Result,
    subject::{
        Subject,
        buckets::{
            Entries,
            served::{BUCKET, CREDENTIALS},
        },
        files::streams::{PIECE, Streams, failed},
    },
};

/// Its service of S3.
#[derive(Debug)]
pub(crate) struct OpendalS3(Operator);

impl OpendalS3 {
    pub(crate) fn open(endpoint: &str) -> Result<Self> {
        _ = rustls::crypto::ring::default_provider().install_default();
        // Its own feature for this brings a second implementation of TLS.
        opendal_http_transport_reqwest::install_default();
        let (key, secret) = CREDENTIALS;
        let service = S3::default()
            .endpoint(endpoint)
            .region("us-east-1")
            .bucket(BUCKET)
            .root("opendal")
            .access_key_id(key)
            .secret_access_key(secret)
            .disable_config_load()
            .disable_ec2_metadata();
        Ok(Self(Operator::new(service)?))
    }

    async fn add(&self, digest: Digest, value: Bytes) -> opendal::Result<()> {
        let held = self.0.read(&path(&digest)).await?.to_bytes();
        let held = held.slice(..held.len().min(value.len()));
        self.0.write(&path(&digest), vec![held, value]).await?;
        Ok(())
    }
}

fn path(digest: &Digest) -> String {
    digest.to_string()
}

impl Subject for OpendalS3 {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Some(self.0.read(&path(digest)).await.ok()?.to_bytes())
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.write(&path(&digest), value).await.is_ok()
    }
}

impl Entries for OpendalS3 {
    async fn merge(&self, digest: Digest, value: Bytes) -> bool {
        self.add(digest, value).await.is_ok()
    }

    async fn contains(&self, digest: Digest) -> bool {
        self.0.exists(&path(&digest)).await.unwrap_or(false)
    }

    async fn evict(&self, digest: Digest) -> bool {
        self.0.delete(&path(&digest)).await.is_ok()
    }

    async fn expand(&self, digits: DigestPrefix) -> bool {
        let found = self.0.list_with(&digits.to_string()).limit(2).await;
        found.is_ok_and(|found| found.len() == 1)
    }

    async fn list(&self) -> usize {
        let Ok(listing) = self.0.lister("/").await else { return 0 };
        let files = listing.try_filter(|entry| std::future::ready(entry.metadata().is_file()));
        files.try_fold(0, |count, _| async move { Ok(count + 1) }).await.unwrap_or(0)
    }
}

impl Streams for OpendalS3 {
    async fn put_stream(&self, digest: Digest, _: u64, mut stream: ByteStream) -> Result<()> {
        let path = path(&digest);
        let mut writer = self.0.writer_with(&path).chunk(8 << 20).concurrent(4).await?;
        while let Some(piece) = stream.try_next().await? {
            writer.write(piece).await?;
        }
        writer.close().await?;
        Ok(())
    }

    async fn get_stream(&self, digest: Digest) -> Result<ByteStream> {
        let reader = self.0.reader_with(&path(&digest)).chunk(8 * PIECE).await?;
        Ok(reader.into_bytes_stream(..).await?.map_err(failed).boxed())
    }

    async fn remove(&self, digest: Digest) -> Result<()> {
        Ok(self.0.delete(&path(&digest)).await?)
    }
}
