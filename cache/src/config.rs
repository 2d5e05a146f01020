use std::{path::PathBuf, str::FromStr};

use cache_core::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Limit, kind::Kind, url::StoreUrl};

/// Which stores a cache is made of, fastest first: what a program reads from its configuration and
/// gives to [`open_config`](crate::open_config).
///
/// ```
/// let config: cache::Config = toml::from_str(r#"
///     [[tiers]]
///     kind = "memory"
///     max_size = "256MB"
///     policy = "lfu"
///
///     [[tiers]]
///     kind = "disk"
///     path = "/var/cache/build"
///     max_size = "50GB"
/// "#)?;
/// let urls = ["memory:?max_size=256MB&policy=lfu", "disk:/var/cache/build?max_size=50GB"];
/// assert_eq!(config, cache::Config::from_urls(urls)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The stores, fastest first; at least one.
    pub tiers: Vec<TierConfig>,
}

impl Config {
    /// These stores, fastest first.
    #[must_use]
    pub fn new(tiers: impl IntoIterator<Item = TierConfig>) -> Self {
        Self { tiers: tiers.into_iter().collect() }
    }

    /// The stores that these URLs stand for, fastest first. See [`open`](crate::open) for the URLs.
    ///
    /// # Errors
    ///
    /// [`Invalid`](cache_core::ErrorKind::Invalid) for a URL that is malformed or has an unknown scheme or
    /// option.
    pub fn from_urls<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self> {
        urls.into_iter().map(|url| url.as_ref().parse()).collect::<Result<_>>().map(|tiers| Self { tiers })
    }

    /// What `now` says otherwise, the first of it.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        if self == now {
            return None;
        }
        if self.tiers.len() != now.tiers.len() {
            let (was, is) = (self.tiers.len(), now.tiers.len());
            let tiers = if was == 1 { "was 1 tier".to_owned() } else { format!("were {was} tiers") };
            return Some(format!("there {tiers}, and are {is} now"));
        }
        let say = |value: Option<String>| value.unwrap_or_else(|| "absent".into());
        let tiers = (1..).zip(self.tiers.iter().zip(&now.tiers));
        let fields = tiers.flat_map(|(number, (was, is))| {
            was.fields().into_iter().zip(is.fields()).map(move |fields| (number, fields))
        });
        fields.into_iter().find_map(|(number, ((field, was), (_, is)))| {
            (was != is).then(|| format!("{field} of tier {number} was {}, and is {} now", say(was), say(is)))
        })
    }
}

/// One store of a [`Config`].
///
/// | `kind`   | takes                                                                   | feature  |
/// |----------|-------------------------------------------------------------------------|----------|
/// | `memory` | `max_size` (2 GB if absent), `max_entries`, `max_blob`, `policy`, `write` | `memory` |
/// | `disk`   | `path`, `max_size`, `max_blob`, `write`                                 | `disk`   |
///
/// All take a `name`. What is said that the kind does not take is refused, when it is read and when it is
/// opened, and so is an unknown kind. A kind whose feature is off can be read but not opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct TierConfig {
    /// Which backend.
    pub kind: String,
    /// What the tier is called in metrics, outcomes and errors, unlike any other; the kind if absent, a
    /// second one of a kind `disk-2` and so on. A store that is alone has no use for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The directory: absolute, without dot segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The bytes of all blobs together; 0 disables the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Limit>,
    /// The number of entries, at least 1; unlimited if absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Limit::deserialize_things"
    )]
    pub max_entries: Option<Limit>,
    /// The bytes of one blob; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_blob: Option<Limit>,
    /// Which entries go first: `tiny-lfu`, the default, `lru`, `lfu`, or none: `unbounded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When it is written: `through`, the default, by every put; `spill` only with what the memory directly
    /// before it evicts or is too small for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
}

impl TierConfig {
    /// A store of this kind, of which nothing else is said. It is looked at when it is opened.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            name: None,
            path: None,
            max_size: None,
            max_entries: None,
            max_blob: None,
            policy: None,
            write: None,
        }
    }

    fn fields(&self) -> [(&'static str, Option<String>); 8] {
        let limit = |limit: Option<Limit>| limit.map(|limit| limit.to_string());
        [
            ("kind", Some(self.kind.clone())),
            ("name", self.name.clone()),
            ("path", self.path.as_ref().map(|path| format!("{path:?}"))),
            ("max_size", limit(self.max_size)),
            ("max_entries", limit(self.max_entries)),
            ("max_blob", limit(self.max_blob)),
            ("policy", self.policy.clone()),
            ("write", self.write.clone()),
        ]
    }

    /// Whether it is written only with what is evicted before it.
    pub(crate) fn is_for_spill(&self) -> bool {
        self.write.as_deref() == Some("spill")
    }

    /// Says what is wrong, whichever features are on.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Some(kind) = Kind::named(&self.kind) else {
            let known = Kind::known(|name| format!("{name:?}"));
            return Err(format!("the kind {:?} is unknown; there are {known}", self.kind));
        };
        for (field, value) in self.fields() {
            if value.is_some() && !matches!(field, "kind" | "name") && !kind.takes(field) {
                let takes = kind.takes.join(", ");
                return Err(format!("{field:?} is unknown to {}, which takes {takes}", kind.name));
            }
        }
        if self.name.as_ref().is_some_and(String::is_empty) {
            return Err("the name is empty".into());
        }
        if kind.takes("path") {
            self.check_path()?;
        }
        if let Some(write) = self.write.as_deref().filter(|write| !matches!(*write, "through" | "spill")) {
            return Err(format!("write is \"through\" or \"spill\", not {write:?}"));
        }
        #[cfg(feature = "memory")]
        if let Some(policy) = &self.policy {
            let policy = policy.parse::<cache_memory::Policy>();
            policy.map_err(|error| error.detail().unwrap_or("unknown policy").to_owned())?;
        }
        Ok(())
    }

    fn check_path(&self) -> Result<(), String> {
        let Some(path) = self.path.as_ref().filter(|path| path.is_absolute() && path.parent().is_some())
        else {
            return Err(format!("{} takes an absolute path, such as /var/cache/build", self.kind));
        };
        // As it was written: the components of a path leave single dots out.
        let written = path.as_os_str().as_encoded_bytes();
        if written.split(|byte| *byte == b'/').any(|part| matches!(part, b"." | b"..")) {
            return Err("the path must not have dot segments".into());
        }
        if written.contains(&0) {
            return Err("the path must not contain NUL".into());
        }
        Ok(())
    }
}

impl FromStr for TierConfig {
    type Err = Error;

    /// Reads a URL, see [`open`](crate::open).
    fn from_str(text: &str) -> Result<Self> {
        StoreUrl::parse(text)?.into_tier()
    }
}

// The derived methods read and write the fields; what they read is looked at as a whole.
impl<'de> Deserialize<'de> for TierConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tier = Self::deserialize(deserializer)?;
        tier.check().map_err(de::Error::custom)?;
        Ok(tier)
    }
}

impl Serialize for TierConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(all(test, unix))]
mod tests;
