use std::{fmt, str::FromStr};

use cache_core::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How many of the tiers that are written through have to take a put, so that it succeeds: a number from 1 on, or
/// `all`.
///
/// ```
/// use cache::QuorumConfig;
///
/// let quorums: Vec<QuorumConfig> = serde_json::from_str(r#"["all", 2]"#)?;
/// assert_eq!(quorums, [QuorumConfig::All, QuorumConfig::AtLeast(2)]);
/// assert!(serde_json::from_str::<QuorumConfig>("0").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuorumConfig {
    /// Each of them.
    #[default]
    All,
    /// So many of them. A tier that fails gets the entry when it is well again.
    AtLeast(usize),
}

impl QuorumConfig {
    /// Says what is wrong.
    pub(crate) fn check(self) -> Result<(), String> {
        if self == Self::AtLeast(0) { Err(wrong("0")) } else { Ok(()) }
    }
}

fn wrong(text: impl fmt::Display) -> String {
    format!("quorum is \"all\" or a number from 1 on, not {text}")
}

impl FromStr for QuorumConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse() {
            Ok(least) if least > 0 => Ok(Self::AtLeast(least)),
            _ if text == "all" => Ok(Self::All),
            _ => Err(Error::invalid(wrong(format_args!("{text:?}")))),
        }
    }
}

impl fmt::Display for QuorumConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("all"),
            Self::AtLeast(least) => least.fmt(f),
        }
    }
}

impl Serialize for QuorumConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::AtLeast(least) => least.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for QuorumConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = QuorumConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a number from 1 on")
            }

            fn visit_u64<E: de::Error>(self, least: u64) -> Result<QuorumConfig, E> {
                match usize::try_from(least) {
                    Ok(least) if least > 0 => Ok(QuorumConfig::AtLeast(least)),
                    _ => Err(E::custom(wrong(least))),
                }
            }

            fn visit_i64<E: de::Error>(self, least: i64) -> Result<QuorumConfig, E> {
                u64::try_from(least)
                    .map_err(|_| E::custom(wrong(least)))
                    .and_then(|least| self.visit_u64(least))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuorumConfig, E> {
                text.parse().map_err(|error: Error| E::custom(error.detail().unwrap_or_default()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
