use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cache_conformance::{Crash, Damage, Factory, Failures, Setup};
use cache_core::{Error, ErrorKind, Key, Result, Store};
use cache_s3::StoreOptions;
use cache_s3_server::{Contents, Dialect, Fault, Server, ServerOptions, When};

const BUCKET: &str = "bucket";

/// Opens a store in the bucket of a server.
type Open = fn(&Server, StoreOptions) -> futures::future::BoxFuture<'static, Result<Arc<dyn Store>>>;

/// A server of its own for each clause: what it keeps outlives it.
struct OnServer {
    server: Mutex<Arc<Server>>,
    dialect: Dialect,
    contents: Contents,
    open: Open,
    prefix: &'static str,
}

impl OnServer {
    fn new(open: Open, prefix: &'static str, change: fn(&mut Dialect)) -> Self {
        let (contents, mut dialect) = (Contents::default(), Dialect::default());
        change(&mut dialect);
        Self { server: Mutex::new(start(&contents, dialect)), dialect, contents, open, prefix }
    }

    fn server(&self) -> Arc<Server> {
        Arc::clone(&self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn missing(object: &str) -> Error {
        Error::new(ErrorKind::NotFound, "test", "damage").with_detail(object.to_owned())
    }
}

fn start(contents: &Contents, dialect: Dialect) -> Arc<Server> {
    let options = ServerOptions::new().with_bucket(BUCKET).with_contents(contents.clone());
    Arc::new(Server::start(options.with_dialect(|own| *own = dialect)).unwrap())
}

#[async_trait]
impl Factory for OnServer {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let options = StoreOptions::default()
            .with_prefix(self.prefix)
            .with_owned(true)
            .with_max_bytes(setup.max_bytes)
            .with_max_blob_bytes(setup.max_blob_bytes);
        (self.open)(&self.server(), options).await
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
impl Damage for OnServer {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let name = format!("{}{slash}{}!{}", self.prefix, key.namespace.encoded(), key.digest);
        Ok(self.contents.get(BUCKET, &name).map(|_| name).into_iter().collect())
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        self.contents.get(BUCKET, object).ok_or_else(|| Self::missing(object))
    }

    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        if self.contents.damage(BUCKET, object, bytes) { Ok(()) } else { Err(Self::missing(object)) }
    }

    async fn remove(&self, object: &str) -> Result<()> {
        self.contents.remove(BUCKET, object);
        Ok(())
    }
}

impl Failures for OnServer {
    fn operations(&self) -> u64 {
        self.server().log().len() as u64
    }

    fn fail(&self, nth: u64) {
        self.server().mend();
        if nth > 0 {
            // One that is not tried again.
            self.server().fail(Fault::access_denied(), When::nth(nth));
        }
    }
}

#[async_trait]
impl Crash for OnServer {
    async fn crash(&self) -> Result<()> {
        // The next one listens elsewhere, so that nothing of the old store gets through.
        self.server().crash();
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = start(&self.contents, self.dialect);
        Ok(())
    }
}

#[cfg(feature = "s3")]
fn s3(server: &Server, options: StoreOptions) -> futures::future::BoxFuture<'static, Result<Arc<dyn Store>>> {
    use cache_s3::{S3Options, S3Store};

    let options = S3Options::new(BUCKET)
        .with_endpoint(server.endpoint())
        .with_region("us-east-1")
        .with_credentials(server.key(), server.secret())
        .with_allow_http(true)
        .with_store(options);
    Box::pin(async move {
        let store: Arc<dyn Store> = Arc::new(S3Store::open(options).await?);
        Ok(store)
    })
}

#[cfg(feature = "s3")]
mod on_s3 {
    use super::{OnServer, s3};

    cache_conformance::suite! { OnServer::new(s3, "", |_| ()), handles: [damage, failures, crash] }
}

/// Conditions are ignored, as Garage does, and ranges from the end refused; the store has a prefix.
#[cfg(feature = "s3")]
mod on_less_than_s3 {
    use super::{OnServer, s3};

    cache_conformance::suite! {
        OnServer::new(s3, "team/cache", |dialect| {
            dialect.ignores_conditions_on_put = true;
            dialect.refuses_suffix_ranges = true;
            dialect.lists_without_etag = true;
            dialect.lists_whole_seconds = true;
        }),
        handles: [damage, failures, crash]
    }
}

#[cfg(feature = "gcs")]
fn gcs(
    server: &Server,
    options: StoreOptions,
) -> futures::future::BoxFuture<'static, Result<Arc<dyn Store>>> {
    use cache_s3::{GcsOptions, S3Store};

    let options = GcsOptions::new(BUCKET)
        .with_endpoint(server.endpoint())
        .with_anonymous(true)
        .with_allow_http(true)
        .with_store(options);
    Box::pin(async move {
        let store: Arc<dyn Store> = Arc::new(S3Store::open_gcs(options).await?);
        Ok(store)
    })
}

#[cfg(feature = "gcs")]
mod on_google {
    use super::{OnServer, gcs};

    cache_conformance::suite! {
        OnServer::new(gcs, "", |dialect| dialect.gcs = true),
        handles: [damage, failures, crash]
    }
}
