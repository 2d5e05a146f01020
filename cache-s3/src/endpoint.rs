//! What the options of all services have in common.

use std::time::Duration;

use cache_core::{Error, Result};
use object_store::{BackoffConfig, RetryConfig};
use reqwest::Url;

use crate::{StoreOptions, http::Settings};

const MAX_RETRIES: usize = 100;

/// A server's URL, if it is one that may be used: without user, query and fragment, and plain HTTP only if allowed.
pub(crate) fn parse(endpoint: &str, allow_http: bool) -> Result<Url> {
    let invalid = |wrong: &str| Error::invalid(format!("endpoint: {wrong}"));
    let url =
        Url::parse(endpoint.trim()).map_err(|_| invalid("not a URL, such as `https://s3.example.org`"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("has a user: credentials have options of their own"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("has more than a host and a path"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http => Ok(url),
        "http" => Err(invalid("is plain HTTP, which needs `allow_http`")),
        _ => Err(invalid("neither https:// nor http://")),
    }
}

/// Whether a text is a URL that a request may go to, for all who read it: they do not agree on what one is.
#[cfg(any(feature = "s3", feature = "azure"))]
pub(crate) fn is_http(text: &str) -> bool {
    let uri = text.parse::<http::Uri>();
    uri.is_ok_and(|uri| uri.authority().is_some())
        && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether what all services have is in its range.
pub(crate) fn check(connect_timeout: Duration, retries: usize, store: &StoreOptions) -> Result<()> {
    if connect_timeout < Duration::from_millis(1) {
        return Err(Error::invalid("connect_timeout: less than 1 ms"));
    }
    if retries > MAX_RETRIES {
        return Err(Error::invalid("retries: more than 100"));
    }
    store.check()
}

/// How requests are made again: soon, and never beyond the deadline of the operation.
pub(crate) fn retry(retries: usize, store: &StoreOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: retries,
        retry_timeout: store.timeout,
    }
}

/// How servers are reached. An attempt takes a third of the deadline of an operation at most, if there may be more.
pub(crate) fn settings(
    connect_timeout: Duration,
    retries: usize,
    store: &StoreOptions,
    tls: bool,
) -> Settings {
    let attempts = match retries {
        0 => 1,
        1 => 2,
        _ => 3,
    };
    Settings {
        connect_timeout,
        idle: store.timeout / attempts,
        min_bytes_per_second: store.min_bytes_per_second,
        tls,
    }
}

#[cfg(test)]
mod tests;
