//! What a store's URL says, before any store is opened.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use cache_core::{ByteSize, Error, Result};
use percent_encoding::percent_decode_str;

/// The backends that exist, whether or not their features are on.
const SCHEMES: [&str; 2] = ["memory", "disk"];

/// A scheme, a path and options, each of which has to be used up.
#[derive(Debug)]
pub(crate) struct StoreUrl {
    pub(crate) scheme: String,
    pub(crate) path: PathBuf,
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
        if !SCHEMES.contains(&url.scheme()) {
            return Err(refuse("the scheme is unknown; there are memory: and disk:".into()));
        }
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
        Ok(Self { scheme: url.scheme().to_owned(), path, shown: shown.clone(), options })
    }

    pub(crate) fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::invalid(format!("store URL {:?}: {why}", self.shown))
    }

    /// Takes an option that is a number of bytes. The outer `None`: absent. The inner: `unlimited`.
    pub(crate) fn take_size(&mut self, name: &str) -> Result<Option<Option<u64>>> {
        self.take(name, |text| {
            let size = ByteSize::from_str(text).map(ByteSize::bytes);
            size.map_err(|error| error.detail().unwrap_or("not a size").to_owned())
        })
    }

    /// Takes an option that is a number.
    pub(crate) fn take_count(&mut self, name: &str) -> Result<Option<Option<u64>>> {
        self.take(name, |text| text.parse().map_err(|_| format!("{text:?} is not a whole number")))
    }

    fn take(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> std::result::Result<u64, String>,
    ) -> Result<Option<Option<u64>>> {
        match self.options.remove(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("unlimited") => Ok(Some(None)),
            Some(text) => match parse(&text) {
                Ok(value) => Ok(Some(Some(value))),
                Err(why) => Err(self.refuse(format!("option {name}: {why}"))),
            },
        }
    }

    /// Refuses options that nobody took.
    pub(crate) fn finish(&self, known: &[&str]) -> Result<()> {
        match self.options.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.refuse(format!(
                "the option {name:?} is unknown; {} takes {}",
                self.scheme,
                known.join(", ")
            ))),
        }
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
fn shown(text: &str) -> String {
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
