//! What a store's URL says, before any store is opened.

use std::{collections::BTreeMap, path::PathBuf};

use cache_core::{Error, Result};
use percent_encoding::percent_decode_str;

use crate::{Limit, TierConfig, kind::Kind};

/// A scheme, a path and options, each of which has to be used up.
pub(crate) struct StoreUrl {
    kind: &'static Kind,
    path: PathBuf,
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
        let url = url::Url::parse(text)
            .map_err(|error| refuse(format!("{error}; write for example memory: or disk:/abs/path")))?;
        let Some(kind) = Kind::named(url.scheme()) else {
            let known = Kind::known(|name| format!("{name}:"));
            return Err(refuse(format!("the scheme is unknown; there are {known}")));
        };
        if url.has_host() || !url.username().is_empty() || url.port().is_some() {
            return Err(refuse("it must not have a host".into()));
        }
        if url.fragment().is_some() {
            return Err(refuse("it must not have a fragment; write %23 for a #".into()));
        }
        let path = path_of(text).map_err(|why| refuse(why.into()))?;
        let mut options = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if options.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(refuse(format!("the option {name:?} stands twice")));
            }
        }
        Ok(Self { kind, path, shown: shown.clone(), options })
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
        tier.policy = self.take("policy", |text| Ok(text.to_owned()))?;
        tier.write = self.take("write", |text| Ok(text.to_owned()))?;
        if let Some(name) = self.options.keys().next() {
            return Err(self.unknown(name));
        }
        match (self.kind.takes("path"), self.path.as_os_str().is_empty()) {
            (true, _) => tier.path = Some(self.path.clone()),
            (false, true) => {}
            (false, false) => return Err(self.refuse(format!("{}: has no path", self.kind.name))),
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
        let takes: Vec<&str> = self.kind.takes.iter().copied().filter(|field| *field != "path").collect();
        let (kind, takes) = (self.kind.name, takes.join(", "));
        self.refuse(format!("the option {name:?} is unknown; {kind} takes {takes}"))
    }
}

/// The path, taken from the text itself: a URL's path is rewritten where it has dot segments, and a
/// directory must be the one that was written.
fn path_of(text: &str) -> std::result::Result<PathBuf, &'static str> {
    let (_, rest) = text.split_once(':').unwrap_or_default();
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let raw = rest.get(..end).unwrap_or_default();
    // An empty host, as in disk:///path.
    let raw = raw.strip_prefix("//").unwrap_or(raw);
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
    Ok(PathBuf::from(parts.join("/")))
}

/// A URL as it may be shown: without user, password and the values of options, any of which may be a secret.
pub(crate) fn shown(text: &str) -> String {
    let (address, query) =
        text.split_once('?').map_or((text, None), |(address, query)| (address, Some(query)));
    let mut shown = match (address.find("//"), address.rfind('@')) {
        (Some(host), Some(at)) if host < at => {
            let (before, _) = address.split_at(host + 2);
            format!("{before}…{}", address.get(at..).unwrap_or_default())
        }
        _ => address.to_owned(),
    };
    for (index, option) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        shown.push_str(option.split_once('=').map_or(option, |(name, _)| name));
    }
    shown
}
