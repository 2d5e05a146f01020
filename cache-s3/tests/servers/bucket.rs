//! A bucket for each clause, on a server that they all share.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Crash, Damage, Factory, Failures, Setup};
use cache_core::{Error, ErrorKind, Key, Result, Store};
use cache_s3::{S3Options, S3Store, StoreOptions};
use cache_s3_server::{Fault, Server, ServerOptions, When};
use object_store::{
    ClientOptions, ObjectStoreExt,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};

pub(crate) const KEY: &str = "AKIDTEST";
pub(crate) const SECRET: &str = "SECRETTEST";
pub(crate) const REGION: &str = "us-east-1";

pub(crate) struct InBucket {
    behind: SocketAddr,
    /// What the store talks to: it counts requests and has them fail.
    front: Mutex<Arc<Server>>,
    bucket: String,
    /// Reaches behind the store.
    objects: AmazonS3,
}

impl InBucket {
    pub(crate) fn new(behind: SocketAddr) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let bucket = format!("clause-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let objects = AmazonS3Builder::new()
            .with_endpoint(format!("http://{behind}"))
            .with_region(REGION)
            .with_access_key_id(KEY)
            .with_secret_access_key(SECRET)
            .with_bucket_name(&bucket)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .build()
            .unwrap();
        Self { behind, front: Mutex::new(front(behind)), bucket, objects }
    }

    fn front(&self) -> Arc<Server> {
        Arc::clone(&self.front.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn front(behind: SocketAddr) -> Arc<Server> {
    Arc::new(Server::start(ServerOptions::new().with_in_front_of(behind)).unwrap())
}

pub(crate) fn options(endpoint: &str, bucket: &str, store: StoreOptions) -> S3Options {
    S3Options::new(bucket)
        .with_endpoint(endpoint)
        .with_region(REGION)
        .with_credentials(KEY, SECRET)
        .with_allow_http(true)
        .with_auto_create(true)
        .with_store(store)
}

fn failed(error: object_store::Error) -> Error {
    Error::new(ErrorKind::Internal, "test", "reach behind the store").with_source(error)
}

#[async_trait]
impl Factory for InBucket {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let store = StoreOptions::default()
            .with_owned(true)
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        Ok(Arc::new(S3Store::open(options(&self.front().endpoint(), &self.bucket, store)).await?))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        Some(self)
    }

    fn failures(&self) -> Option<&dyn Failures> {
        Some(self)
    }

    fn crash(&self) -> Option<&dyn Crash> {
        Some(self)
    }
}

#[async_trait]
impl Damage for InBucket {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        let name = format!("{}!{}", key.namespace.encoded(), key.digest);
        match self.objects.head(&Path::parse(&name).unwrap()).await {
            Ok(_) => Ok(vec![name]),
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        }
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        let found = self.objects.get(&Path::parse(object).unwrap()).await.map_err(failed)?;
        found.bytes().await.map_err(failed)
    }

    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        self.objects.put(&Path::parse(object).unwrap(), bytes.into()).await.map_err(failed)?;
        Ok(())
    }

    async fn remove(&self, object: &str) -> Result<()> {
        self.objects.delete(&Path::parse(object).unwrap()).await.map_err(failed)
    }
}

impl Failures for InBucket {
    fn operations(&self) -> u64 {
        self.front().log().len() as u64
    }

    fn fail(&self, nth: u64) {
        self.front().mend();
        if nth > 0 {
            self.front().fail(Fault::access_denied(), When::nth(nth));
        }
    }
}

#[async_trait]
impl Crash for InBucket {
    async fn crash(&self) -> Result<()> {
        // What it has handed on already is carried out, so that nothing of it comes later.
        let before = self.front();
        tokio::task::spawn_blocking(move || before.stop()).await.expect("a stop");
        // The next one listens elsewhere, so that nothing more of the old store gets through.
        *self.front.lock().unwrap_or_else(PoisonError::into_inner) = front(self.behind);
        Ok(())
    }
}
