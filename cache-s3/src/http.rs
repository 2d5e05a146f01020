//! How the clients of all services reach their servers.

mod answer;
mod body;
#[cfg(any(feature = "s3", feature = "gcs"))]
mod exchange;
mod host;
mod listing;
mod service;
mod tls;
mod within;

use std::{sync::Arc, time::Duration};

use cache_core::{Error, ErrorKind, Result};
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{HttpClient, HttpConnector},
};
use reqwest::redirect;

use crate::STORE;
pub(crate) use body::Stopped;
#[cfg(feature = "s3")]
pub(crate) use exchange::Reply;
#[cfg(any(feature = "s3", feature = "gcs"))]
pub(crate) use exchange::exchange;
use service::Service;
pub(crate) use within::within;

/// How a client is reached, whatever it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    /// How long an attempt waits for the next byte, or for the answer to begin once the request is out.
    pub(crate) idle: Duration,
    /// What a request's own bytes may take.
    pub(crate) min_bytes_per_second: u64,
    /// Whether there is nothing to do without the certificates of this machine.
    pub(crate) tls: bool,
}

/// Makes the clients of one provider, which share their connections.
///
/// Bodies that a client collects are capped: those of errors at 64 KiB, what is more is cut off; others at 16 MiB, what
/// is more is an error. Only the answer to a GET with a `Range` has no cap: it is an object's, streamed, and for the
/// reader to bound. No length that a server claims is believed. Redirects are not followed. The proxies of the
/// environment are used, but not on the way to the metadata service of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    clients: Arc<Clients>,
    settings: Settings,
}

#[derive(Debug)]
struct Clients {
    far: reqwest::Client,
    /// For what answers on this machine's link only.
    link_local: reqwest::Client,
}

impl Connector {
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let tls = tls::config(settings.tls)?;
        let builder = |connect_timeout| {
            reqwest::Client::builder()
                .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
                .tls_backend_preconfigured(tls.clone())
                .http1_only()
                .redirect(redirect::Policy::none())
                .referer(false)
                // What else in the process switches on is not for objects: their bytes are counted and signed.
                .no_gzip()
                .no_brotli()
                .no_deflate()
                .no_zstd()
                .connect_timeout(connect_timeout)
                .pool_idle_timeout(Duration::from_secs(60))
        };
        let link_local = settings.connect_timeout.min(Duration::from_secs(1));
        let clients = Clients {
            far: builder(settings.connect_timeout).build().map_err(broken)?,
            link_local: builder(link_local).no_proxy().build().map_err(broken)?,
        };
        Ok(Self { clients: Arc::new(clients), settings })
    }

    /// A client that speaks plain HTTP only if it is allowed to.
    pub(crate) fn client(&self, allow_http: bool) -> HttpClient {
        HttpClient::new(Service { clients: self.clients.clone(), settings: self.settings, allow_http })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        Ok(self.client(allow_http.as_deref() == Some("true")))
    }
}

fn broken(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::Internal, STORE, "open").with_detail("no HTTP client").with_source(error)
}

#[cfg(test)]
mod tests;
