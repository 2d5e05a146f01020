use cache_core::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A limit that was given, which may be that there is none.
///
/// Reads as a number or as text; a limit in bytes takes a [`ByteSize`] such as `256MB`. Either may be
/// `unlimited`. Never negative.
///
/// ```
/// use cache::{ByteSize, Limit};
///
/// let limits: Vec<Limit> = serde_json::from_str(r#"[1024, "256MB", "unlimited"]"#)?;
/// assert_eq!(limits, [Limit::Max(1024), ByteSize::new(256_000_000).into(), Limit::Unlimited]);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// At most so much.
    Max(u64),
}

impl Limit {
    /// The number, if there is one.
    #[must_use]
    pub const fn max(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Max(max) => Some(max),
        }
    }

    /// A number of bytes, as text.
    pub(crate) fn of_bytes(text: &str) -> Result<Self, String> {
        Self::of_text(text, |text| {
            let size = text.parse::<ByteSize>().map(ByteSize::bytes);
            size.map_err(|error| error.detail().unwrap_or("not a size").to_owned())
        })
    }

    /// A number of things, as text.
    pub(crate) fn of_things(text: &str) -> Result<Self, String> {
        Self::of_text(text, |text| match text.parse::<u64>() {
            Ok(number) => Ok(number),
            Err(_) if text.parse::<i64>().is_ok() => Err(format!("{text:?} is negative")),
            Err(_) => Err(format!("{text:?} is not a whole number")),
        })
    }

    fn of_text(text: &str, number: impl Fn(&str) -> Result<u64, String>) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("unlimited") { Ok(Self::Unlimited) } else { number(text).map(Self::Max) }
    }

    /// Reads a limit that counts things, where a unit of bytes makes no sense.
    pub(crate) fn deserialize_things<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Self>, D::Error> {
        struct Things(Limit);

        impl<'de> Deserialize<'de> for Things {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Visitor { of_text: Limit::of_things }).map(Self)
            }
        }

        Ok(Option::<Things>::deserialize(deserializer)?.map(|Things(limit)| limit))
    }
}

impl From<u64> for Limit {
    fn from(max: u64) -> Self {
        Self::Max(max)
    }
}

impl From<ByteSize> for Limit {
    fn from(size: ByteSize) -> Self {
        Self::Max(size.bytes())
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unlimited => f.pad("unlimited"),
            Self::Max(max) => max.fmt(f),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.max().map(i64::try_from) {
            Some(Ok(max)) => serializer.serialize_i64(max),
            // Some formats have no greater numbers.
            _ => serializer.serialize_str(&self.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor { of_text: Self::of_bytes })
    }
}

struct Visitor {
    of_text: fn(&str) -> Result<Limit, String>,
}

impl de::Visitor<'_> for Visitor {
    type Value = Limit;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a limit: a whole number or a text such as \"unlimited\"")
    }

    fn visit_u64<E: de::Error>(self, max: u64) -> Result<Limit, E> {
        Ok(Limit::Max(max))
    }

    fn visit_i64<E: de::Error>(self, max: i64) -> Result<Limit, E> {
        u64::try_from(max).map(Limit::Max).map_err(|_| E::custom(format!("the limit {max} is negative")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
        (self.of_text)(text).map_err(E::custom)
    }
}
