mod bucket;
mod check;
mod duration;
mod field;
mod quorum;
mod role;
mod tier;

use cache_core::Result;
use serde::{Deserialize, Serialize};

use self::field::Field;
pub(crate) use self::{
    bucket::{NO_CREDENTIALS, SECRETS},
    duration::parse as parse_duration,
    role::{contradiction, out_of_reach},
};
pub use self::{quorum::QuorumConfig, tier::TierConfig};

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
    /// How many of the tiers that are written through have to take a put, so that it succeeds; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumConfig>,
    /// The stores, fastest first; at least one.
    pub tiers: Vec<TierConfig>,
}

impl Config {
    /// These stores, fastest first.
    #[must_use]
    pub fn new(tiers: impl IntoIterator<Item = TierConfig>) -> Self {
        Self { quorum: None, tiers: tiers.into_iter().collect() }
    }

    /// The stores that these URLs stand for, fastest first. See [`open`](crate::open) for the URLs.
    ///
    /// # Errors
    ///
    /// [`Invalid`](cache_core::ErrorKind::Invalid) for a URL that is malformed or has an unknown scheme or
    /// option.
    pub fn from_urls<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self> {
        let tiers = urls.into_iter().map(|url| url.as_ref().parse()).collect::<Result<_>>()?;
        Ok(Self { quorum: None, tiers })
    }

    /// Sets how many of the tiers that are written through have to take a put.
    #[must_use]
    pub fn with_quorum(mut self, quorum: QuorumConfig) -> Self {
        self.quorum = Some(quorum);
        self
    }

    /// What `now` says otherwise, the first of it.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        if self == now {
            return None;
        }
        let quorum = |config: &Self| config.quorum.as_ref().map(Field::new);
        if let Some(difference) = Field::difference(quorum(self).as_ref(), quorum(now).as_ref()) {
            return Some(format!("quorum {difference}"));
        }
        if self.tiers.len() != now.tiers.len() {
            let (was, is) = (self.tiers.len(), now.tiers.len());
            let tiers = if was == 1 { "was 1 tier".to_owned() } else { format!("were {was} tiers") };
            return Some(format!("there {tiers}, and are {is} now"));
        }
        let tiers = (1..).zip(self.tiers.iter().zip(&now.tiers));
        let fields = tiers.flat_map(|(number, (was, is))| {
            was.fields().into_iter().zip(is.fields()).map(move |fields| (number, fields))
        });
        fields.into_iter().find_map(|(number, ((field, was), (_, is)))| {
            Field::difference(was.as_ref(), is.as_ref())
                .map(|difference| format!("{field} of tier {number} {difference}"))
        })
    }
}

#[cfg(all(test, unix))]
mod tests;
