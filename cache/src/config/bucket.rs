//! What a description of a store in a bucket may say.

use std::time::Duration;

use url::Url;

use super::{TierConfig, field::Field};
use crate::Limit;

/// What is wrong with it.
pub(super) fn check(tier: &TierConfig) -> Result<(), String> {
    check_place(tier)?;
    check_credentials(tier)?;
    if matches!(tier.max_size, Some(Limit::Max(1..))) && tier.owned != Some(true) {
        return Err(
            "max_size removes entries, which needs owned = true: that all entries below the prefix are this \
             store's to remove. In a bucket that others use, too, let its lifecycle rules remove what is old"
                .into(),
        );
    }
    if tier.timeout.is_some_and(|timeout| timeout < Duration::from_millis(1)) {
        return Err("timeout is at least 1ms".into());
    }
    if tier.connect_timeout.is_some_and(|timeout| timeout < Duration::from_millis(1)) {
        return Err("connect_timeout is at least 1ms".into());
    }
    if tier.retries.is_some_and(|retries| retries > 100) {
        return Err("retries is up to 100".into());
    }
    if tier.min_rate.is_some_and(|rate| rate.bytes() == 0) {
        return Err("min_rate is at least 1".into());
    }
    if tier.part_size.is_some_and(|size| !(5 << 20..=5 << 30).contains(&size.bytes())) {
        return Err("part_size is 5MiB to 5GiB".into());
    }
    if tier.concurrent_parts.is_some_and(|parts| !(1..=64).contains(&parts)) {
        return Err("concurrent_parts is 1 to 64".into());
    }
    Ok(())
}

fn check_place(tier: &TierConfig) -> Result<(), String> {
    let bucket = tier.bucket.as_deref().unwrap_or_default();
    if bucket.is_empty() {
        return Err(format!("{} takes a bucket, such as build-cache", tier.kind));
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if matches!(bucket, "." | "..") || bucket.len() > 255 || !bucket.chars().all(is_allowed) {
        return Err("the name of a bucket is letters, digits, dots and dashes".into());
    }
    if tier.kind == "azure"
        && tier.account.as_ref().is_none_or(String::is_empty)
        && tier.emulator != Some(true)
    {
        return Err("azure takes an account, such as buildstorage".into());
    }
    if let Some(prefix) = &tier.prefix {
        if prefix.len() > 400 {
            return Err("the prefix is longer than 400 bytes".into());
        }
        if prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("the prefix has an empty part or a dot segment; write for example team/cache".into());
        }
        if prefix.split('/').any(|part| part.starts_with('~')) {
            return Err("the prefix has a part that begins with ~, as namespaces do".into());
        }
        if prefix.contains(char::is_control) {
            return Err("the prefix must not have control characters".into());
        }
    }
    if let Some(endpoint) = &tier.endpoint {
        // What stands there may be a secret: none of it is shown.
        let Some(url) = Url::parse(endpoint).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
        else {
            return Err("the endpoint is the URL of a server, such as http://127.0.0.1:9000".into());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("the endpoint has a user in it: {NO_CREDENTIALS}"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the endpoint must not have a query or a fragment".into());
        }
        if url.scheme() == "http" && tier.allow_http != Some(true) {
            return Err("the endpoint is without TLS, which needs allow_http = true".into());
        }
    }
    Ok(())
}

/// What is never shown, nor taken from a URL.
pub(crate) const SECRETS: [&str; 6] =
    ["access_key_id", "secret_access_key", "session_token", "service_account_key", "access_key", "sas"];

/// Where credentials belong.
pub(crate) const NO_CREDENTIALS: &str = "credentials are no part of a URL: leave them to the environment (variables, \
     profile, instance), or say them in a configuration, as access_key_id and secret_access_key";

fn check_credentials(tier: &TierConfig) -> Result<(), String> {
    if tier.access_key_id.is_some() != tier.secret_access_key.is_some() {
        return Err("access_key_id and secret_access_key go together".into());
    }
    if tier.session_token.is_some() && tier.access_key_id.is_none() {
        return Err("session_token needs access_key_id and secret_access_key".into());
    }
    if tier.service_account_path.is_some() && tier.service_account_key.is_some() {
        return Err("service_account_path and service_account_key exclude each other".into());
    }
    if tier.access_key.is_some() && tier.sas.is_some() {
        return Err("access_key and sas exclude each other".into());
    }
    let says_some = tier.access_key_id.is_some()
        || tier.service_account_path.is_some()
        || tier.service_account_key.is_some()
        || tier.access_key.is_some()
        || tier.sas.is_some();
    if tier.anonymous == Some(true) && says_some {
        return Err("it is anonymous, and has credentials: leave one of both out".into());
    }
    Ok(())
}

/// What the endpoint is, unless there may be a secret in it.
pub(super) fn endpoint(url: &str) -> Field {
    if url.contains(['@', '?', '#']) { Field::hidden(url, "…") } else { Field::new(&url) }
}

/// Whether both are the same prefix of the same bucket, as far as can be told.
pub(super) fn is_same(one: &TierConfig, other: &TierConfig) -> bool {
    let server = |tier: &TierConfig| tier.endpoint.as_ref().and_then(|endpoint| Url::parse(endpoint).ok());
    let place = |tier: &TierConfig| {
        (tier.kind.clone(), tier.account.clone(), tier.bucket.clone(), tier.prefix.clone(), server(tier))
    };
    place(one) == place(other)
}
