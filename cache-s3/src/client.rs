use std::{fmt, future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    runtime::Handle,
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    failure::Failure,
    provider::{Handles, Provider},
    store_options::StoreOptions,
};

/// How long credentials that have just been had anew are not had anew again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// What every request of a store goes through: its deadline, and credentials that may expire.
pub(crate) struct Client {
    provider: Option<Arc<dyn Provider>>,
    connection: ArcSwap<Connection>,
    /// Held by the one who connects anew.
    renewal: Mutex<()>,
    timeout: Duration,
    min_bytes_per_second: u64,
    location: Arc<str>,
}

struct Connection {
    handles: Handles,
    /// When it was renewed, if it was.
    renewed: Option<Instant>,
}

impl Client {
    /// Without a provider, credentials are the business of whoever made the handles.
    pub(crate) fn new(
        provider: Option<Arc<dyn Provider>>,
        handles: Handles,
        options: &StoreOptions,
        location: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            provider,
            connection: ArcSwap::from_pointee(Connection { handles, renewed: None }),
            renewal: Mutex::new(()),
            timeout: options.timeout,
            min_bytes_per_second: options.min_bytes_per_second.max(1),
            location: location.into(),
        }
    }

    /// The bucket, its prefix and its server, as a URL without secrets.
    pub(crate) fn location(&self) -> &Arc<str> {
        &self.location
    }

    pub(crate) fn provider(&self) -> Option<&Arc<dyn Provider>> {
        self.provider.as_ref()
    }

    /// The handles of now, for what is longer than a call. They may be others after the next one.
    pub(crate) fn handles(&self) -> Handles {
        self.connection.load().handles.clone()
    }

    /// How long an operation that transfers so many bytes may take.
    pub(crate) fn deadline(&self, bytes: u64) -> Duration {
        self.timeout.saturating_add(transfer_time(bytes, self.min_bytes_per_second))
    }

    /// Nothing has come in time.
    pub(crate) fn late(&self, operation: &'static str) -> Failure {
        Failure::late(operation, self.timeout)
    }

    /// Runs `f` with the handles of now, within the deadline of an operation that transfers so many bytes.
    ///
    /// If the server calls the credentials expired and others may be had, they are, and `f` runs once more.
    pub(crate) async fn call<T, E, F, Fut>(
        &self,
        operation: &'static str,
        bytes: u64,
        f: F,
    ) -> Result<T, Failure>
    where
        F: Fn(Handles) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Into<Failure>,
    {
        self.within(operation, bytes, self.call_renewing(f)).await
    }

    /// Waits for something within the deadline of an operation that transfers so many bytes.
    pub(crate) async fn within<T, E: Into<Failure>>(
        &self,
        operation: &'static str,
        bytes: u64,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        if Handle::try_current().is_err() {
            return Err(Failure::no_runtime(operation));
        }
        let within = self.deadline(bytes);
        match timeout(within, work).await {
            Ok(done) => done.map_err(|failure| failure.into().at(operation)),
            Err(_) => Err(Failure::late(operation, within)),
        }
    }

    async fn call_renewing<T, E, F, Fut>(&self, f: F) -> Result<T, Failure>
    where
        F: Fn(Handles) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Into<Failure>,
    {
        let connection = self.connection.load_full();
        let failure: Failure = match f(connection.handles.clone()).await {
            Ok(value) => return Ok(value),
            Err(error) => error.into(),
        };
        let Some(provider) =
            self.provider.as_ref().filter(|provider| provider.renews() && failure.is_expired())
        else {
            return Err(failure);
        };
        let Some(handles) = self.renew(&connection, provider).await else {
            return Err(failure);
        };
        f(handles).await.map_err(Into::into)
    }

    /// The handles of a connection that is newer than `expired`; none if that is too young, or if there is no other.
    async fn renew(&self, expired: &Arc<Connection>, provider: &Arc<dyn Provider>) -> Option<Handles> {
        let _renewal = self.renewal.lock().await;
        let connection = self.connection.load_full();
        if !Arc::ptr_eq(&connection, expired) {
            return Some(connection.handles.clone());
        }
        if connection.renewed.is_some_and(|renewed| renewed.elapsed() < RENEWAL_PAUSE) {
            return None;
        }
        tracing::info!(location = %self.location, "credentials have expired and are had anew");
        match provider.connect() {
            Ok(handles) => {
                let renewed = Some(Instant::now());
                self.connection.store(Arc::new(Connection { handles: handles.clone(), renewed }));
                Some(handles)
            }
            Err(error) => {
                tracing::warn!(location = %self.location, error = error.to_line(), "no new credentials");
                None
            }
        }
    }
}

/// How long so many bytes take at most.
pub(crate) fn transfer_time(bytes: u64, min_per_second: u64) -> Duration {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(min_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("location", &self.location).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
