use bytes::Bytes;
use cache_core::{ByteStream, Digest, DigestPrefix};
use futures::{StreamExt, TryStreamExt};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder},
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path,
};

use crate::{
    failure::Result,
    subject::{
        Subject,
        buckets::{
            Entries,
            served::{BUCKET, CREDENTIALS},
        },
        files::streams::{Streams, failed},
    },
};

/// What our store asks for at first of an entry.
const END: u64 = (1 << 20) + (64 << 10);
/// What it asks for to know that an entry is there.
const FOOTER: u64 = 64;
/// As it cuts large entries by default.
const PART: usize = 8 << 20;
const CONCURRENT_PARTS: usize = 4;

/// A client with its own settings, asked for what our store asks for.
#[derive(Debug)]
pub(crate) struct Raw(AmazonS3);

impl Raw {
    pub(crate) fn open(endpoint: &str) -> Result<Self> {
        // It may have one already, which is as good.
        _ = rustls::crypto::ring::default_provider().install_default();
        let (key, secret) = CREDENTIALS;
        let builder = AmazonS3Builder::new()
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(BUCKET)
            .with_access_key_id(key)
            .with_secret_access_key(secret);
        Ok(Self(builder.build()?))
    }

    async fn end_of(&self, digest: &Digest, bytes: u64) -> object_store::Result<(Option<String>, Bytes)> {
        let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
        let found = self.0.get_opts(&path(digest), options).await?;
        Ok((found.meta.e_tag.clone(), found.bytes().await?))
    }

    async fn add(&self, digest: &Digest, value: Bytes) -> object_store::Result<()> {
        let (e_tag, held) = self.end_of(digest, END).await?;
        let held = held.slice(..held.len().min(value.len()));
        let options = PutOptions {
            mode: PutMode::Update(UpdateVersion { e_tag, version: None }),
            ..PutOptions::default()
        };
        let both = [held, value].into_iter().collect();
        self.0.put_opts(&path(digest), both, options).await?;
        Ok(())
    }
}

fn path(digest: &Digest) -> Path {
    Path::from(format!("raw/{digest}"))
}

impl Subject for Raw {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        Some(self.end_of(digest, END).await.ok()?.1)
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.0.put(&path(&digest), value.into()).await.is_ok()
    }
}

impl Entries for Raw {
    async fn merge(&self, digest: Digest, value: Bytes) -> bool {
        self.add(&digest, value).await.is_ok()
    }

    async fn contains(&self, digest: Digest) -> bool {
        self.end_of(&digest, FOOTER).await.is_ok()
    }

    async fn evict(&self, digest: Digest) -> bool {
        self.0.delete(&path(&digest)).await.is_ok()
    }

    async fn expand(&self, digits: DigestPrefix) -> bool {
        let two = PaginatedListOptions { max_keys: Some(2), ..PaginatedListOptions::default() };
        let found = self.0.list_paginated(Some(&format!("raw/{digits}")), two).await;
        found.is_ok_and(|found| found.result.objects.len() == 1)
    }

    async fn list(&self) -> usize {
        let listing = self.0.list(Some(&Path::from("raw")));
        listing.try_fold(0, |count, _| async move { Ok(count + 1) }).await.unwrap_or(0)
    }
}

impl Streams for Raw {
    async fn put_stream(&self, digest: Digest, _: u64, mut stream: ByteStream) -> Result<()> {
        let upload = self.0.put_multipart_opts(&path(&digest), Default::default()).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        while let Some(piece) = stream.try_next().await? {
            // Or it would take all of it into memory.
            writer.wait_for_capacity(CONCURRENT_PARTS).await?;
            writer.put(piece);
        }
        writer.finish().await?;
        Ok(())
    }

    async fn get_stream(&self, digest: Digest) -> Result<ByteStream> {
        let found = self.0.get(&path(&digest)).await?;
        Ok(found.into_stream().map_err(|error| failed(std::io::Error::other(error))).boxed())
    }

    async fn remove(&self, digest: Digest) -> Result<()> {
        Ok(self.0.delete(&path(&digest)).await?)
    }
}
