//! What a store's URL says, before any store is opened.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use cache_core::{ByteSize, Error, Result};
use percent_encoding::percent_decode_str;

use crate::{
    Limit, TierConfig,
    config::{NO_CREDENTIALS, SECRETS, parse_duration},
    kind::{Kind, Place},
};

/// A scheme, a place and options, each of which has to be used up.
pub(crate) struct StoreUrl {
    kind: &'static Kind,
    bucket: Option<String>,
    /// The path, or the prefix in the bucket.
    path: String,
    /// The URL without what may be a secret.
    shown: String,
    options: BTreeMap<String, String>,
}

impl StoreUrl {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let shown = shown(text);
        let refuse = |why: String| Error::invalid(format!("store URL {shown:?}: {why}"));
        if text.contains(char::is_control) || text.trim() != text {
            return Err(refuse("it must not have control characters or blanks around it".into()));
        }
        let has_bucket = text.split_once(':').and_then(|(scheme, _)| Kind::of_scheme(scheme));
        let has_bucket = has_bucket.is_some_and(|kind| kind.place == Place::Bucket);
        if has_bucket && authority(text).is_some_and(|name| name.contains([':', '@'])) {
            let why = "the bucket has a user, a password or a port beside it";
            return Err(refuse(format!(
                "{why}: {NO_CREDENTIALS}; a server other than the service's is an endpoint"
            )));
        }
        let url = url::Url::parse(text)
            .map_err(|error| refuse(format!("{error}; write for example memory: or disk:/abs/path")))?;
        let Some(kind) = Kind::of_scheme(url.scheme()) else {
            let known = Kind::known(|kind| format!("{}:", kind.scheme));
            return Err(refuse(format!("the scheme is unknown; there are {known}")));
        };
        if !has_bucket && (url.has_host() || !url.username().is_empty() || url.port().is_some()) {
            return Err(refuse("it must not have a host".into()));
        }
        if url.fragment().is_some() {
            return Err(refuse("it must not have a fragment; write %23 for a #".into()));
        }
        let path = path_of(text, has_bucket).map_err(|why| refuse(why.into()))?;
        let bucket = authority(text).filter(|_| has_bucket).map(str::to_owned);
        if has_bucket && bucket.as_ref().is_none_or(String::is_empty) {
            return Err(refuse(format!(
                "it has no bucket; write for example {}://bucket/prefix",
                kind.scheme
            )));
        }
        let mut options = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if options.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(refuse(format!("the option {name:?} stands twice")));
            }
        }
        Ok(Self { kind, bucket, path, shown: shown.clone(), options })
    }

    pub(crate) fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::invalid(format!("store URL {:?}: {why}", self.shown))
    }

    /// The store that the URL stands for.
    pub(crate) fn into_tier(mut self) -> Result<TierConfig> {
        let mut tier = TierConfig::new(self.kind.name);
        tier.max_size = self.take("max_size", Limit::of_bytes)?;
        tier.max_entries = self.take("max_entries", Limit::of_things)?;
        tier.max_blob = self.take("max_blob", Limit::of_bytes)?;
        tier.policy = self.take("policy", text)?;
        tier.cache_size = self.take("cache_size", size)?;
        tier.durable_puts = self.take("durable_puts", truth)?;
        tier.read_only = self.take("read_only", truth)?;
        tier.write = self.take("write", text)?;
        tier.read = self.take("read", truth)?;
        tier.existence = self.take("existence", truth)?;
        tier.promotion = self.take("promotion", text)?;
        tier.max_entry = self.take("max_entry", size)?;
        tier.deadline = self.take("deadline", parse_duration)?;
        tier.queue_size = self.take("queue_size", size)?;
        tier.when_full = self.take("when_full", text)?;
        tier.breaker_failures = self.take("breaker_failures", number)?;
        tier.breaker_pause = self.take("breaker_pause", parse_duration)?;
        tier.region = self.take("region", text)?;
        tier.endpoint = self.take("endpoint", text)?;
        tier.virtual_hosted = self.take("virtual_hosted", truth)?;
        tier.allow_http = self.take("allow_http", truth)?;
        tier.auto_create = self.take("auto_create", truth)?;
        tier.bulk_delete = self.take("bulk_delete", truth)?;
        tier.account = self.take("account", text)?;
        tier.emulator = self.take("emulator", truth)?;
        tier.anonymous = self.take("anonymous", truth)?;
        tier.service_account_path = self.take("service_account_path", text)?.map(PathBuf::from);
        tier.owned = self.take("owned", truth)?;
        tier.timeout = self.take("timeout", parse_duration)?;
        tier.connect_timeout = self.take("connect_timeout", parse_duration)?;
        tier.retries = self.take("retries", number)?;
        tier.min_rate = self.take("min_rate", size)?;
        tier.part_size = self.take("part_size", size)?;
        tier.concurrent_parts = self.take("concurrent_parts", number)?;
        tier.upload_age = self.take("upload_age", parse_duration)?;
        tier.conditional_puts = self.take("conditional_puts", truth)?;
        if let Some(name) = self.options.keys().next() {
            return Err(self.unknown(name));
        }
        match self.kind.place {
            Place::Path => tier.path = Some(PathBuf::from(self.path.clone())),
            Place::Bucket => {
                tier.bucket = self.bucket.clone();
                tier.prefix = Some(self.path.clone()).filter(|prefix| !prefix.is_empty());
            }
            Place::Process if self.path.is_empty() => {}
            Place::Process => return Err(self.refuse(format!("{}: has no path", self.kind.name))),
        }
        tier.check().map_err(|why| self.refuse(why))?;
        Ok(tier)
    }

    fn take<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<T>> {
        match self.options.remove(name) {
            None => Ok(None),
            Some(_) if !self.kind.takes(name) => Err(self.unknown(name)),
            Some(text) => read(&text).map(Some).map_err(|why| self.refuse(format!("option {name}: {why}"))),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        if SECRETS.contains(&name) {
            return self.refuse(format!("the option {name:?} is refused: {NO_CREDENTIALS}"));
        }
        let is_option =
            |field: &&str| !matches!(*field, "path" | "bucket" | "prefix") && !SECRETS.contains(field);
        let takes: Vec<&str> = self.kind.fields().filter(is_option).collect();
        let (kind, takes) = (self.kind.name, takes.join(", "));
        self.refuse(format!("the option {name:?} is unknown; {kind} takes {takes}"))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "as what reads other options")]
fn text(text: &str) -> std::result::Result<String, String> {
    Ok(text.to_owned())
}

fn number<N: FromStr>(text: &str) -> std::result::Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

fn size(text: &str) -> std::result::Result<ByteSize, String> {
    text.parse::<ByteSize>().map_err(|error| error.detail().unwrap_or("not a size").to_owned())
}

fn truth(text: &str) -> std::result::Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

/// What stands between `//` and the path, if anything does.
fn authority(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// The path, or what is a prefix, taken from the text itself: a URL's path is rewritten where it has dot segments,
/// and a directory must be the one that was written.
fn path_of(text: &str, has_bucket: bool) -> std::result::Result<String, &'static str> {
    let (_, rest) = text.split_once(':').unwrap_or_default();
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let raw = rest.get(..end).unwrap_or_default();
    let raw = match raw.strip_prefix("//") {
        Some(raw) if has_bucket => {
            let prefix = raw.split_once('/').map_or("", |(_, prefix)| prefix);
            prefix.strip_suffix('/').unwrap_or(prefix)
        }
        // An empty host, as in disk:///path.
        Some(raw) => raw,
        None => raw,
    };
    let mut parts = Vec::new();
    for part in raw.split('/') {
        let mut escapes = part.split('%').skip(1).map(|rest| rest.get(..2).unwrap_or_default());
        if escapes.any(|digits| digits.len() != 2 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
            return Err("a % in the path is not followed by two hex digits; write %25 for a %");
        }
        let part = percent_decode_str(part).decode_utf8().map_err(|_| "the path is not UTF-8")?;
        match &*part {
            "." | ".." => return Err("the path must not have dot segments"),
            part if part.contains('\0') => return Err("the path must not contain NUL"),
            part if part.contains('/') => return Err("the path must not have an encoded /"),
            _ => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// A URL as it may be shown: without user, password and the values of options, any of which may be a secret.
pub(crate) fn shown(text: &str) -> String {
    let (address, query) =
        text.split_once('?').map_or((text, None), |(address, query)| (address, Some(query)));
    let has_bucket = address.split_once(':').is_some_and(|(scheme, _)| {
        Kind::of_scheme(&scheme.to_ascii_lowercase()).is_some_and(|kind| kind.place == Place::Bucket)
    });
    let host = match (address.find("//"), address.find(':')) {
        (Some(at), _) => Some(at + 2),
        // One whose slashes are missing.
        (None, at) => at.filter(|_| has_bucket).map(|at| at + 1),
    };
    let (before, after) = host.and_then(|at| address.split_at_checked(at)).unwrap_or((address, ""));
    let mut shown = match after.rfind('@') {
        Some(at) => format!("{before}…{}", after.get(at..).unwrap_or_default()),
        // The password goes on where the options seem to begin.
        None if has_bucket && after.split('/').next().is_some_and(|name| name.contains(':')) => {
            return format!("{before}…");
        }
        None => address.to_owned(),
    };
    for (index, option) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        shown.push_str(option.split_once('=').map_or(option, |(name, _)| name));
    }
    shown
}
