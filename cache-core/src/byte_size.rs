use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Error, Result};

/// A number of bytes that reads and writes as text: `256MB`, `1.5 GiB`, `1024`.
///
/// The text is trimmed and case does not matter. `KB`, `MB`, `GB`, `TB` are powers of 1000, `KiB`,
/// `MiB`, `GiB`, `TiB` powers of 1024, `B` or a bare integer are bytes. A number with a unit may have
/// a fraction. Anything else is refused. [`Display`](fmt::Display) rounds to one decimal.
///
/// ```
/// use cache_core::ByteSize;
///
/// assert_eq!("256MB".parse::<ByteSize>()?.bytes(), 256_000_000);
/// assert_eq!(" 1.5 gib ".parse::<ByteSize>()?.bytes(), 3 << 29);
/// assert_eq!(ByteSize::new(1536).to_string(), "1.5 KiB");
/// assert!("many".parse::<ByteSize>().is_err());
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::invalid(format!("{text:?} is not a size: {why}; write for example 256MB, 1.5GiB or 1024"))
        };
        let trimmed = text.trim().to_ascii_lowercase();
        let split = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let unit = unit.trim_start();
        if trimmed.starts_with('-') {
            return Err(refuse("it is negative"));
        }
        if !matches!(unit, "" | "b" | "kb" | "mb" | "gb" | "tb" | "kib" | "mib" | "gib" | "tib") {
            return Err(refuse("the unit is unknown"));
        }
        let fraction = match number.split_once('.') {
            Some((whole, part)) if whole.is_empty() || part.is_empty() || part.contains('.') => {
                return Err(refuse("the number is malformed"));
            }
            Some(_) => true,
            None => false,
        };
        if number.is_empty() {
            return Err(refuse("it has no number"));
        }
        if fraction && matches!(unit, "" | "b") {
            return Err(refuse("a number of bytes is whole"));
        }
        parse_size::Config::new()
            .with_decimal()
            .parse_size(format!("{number}{unit}"))
            .map_err(|error| refuse("the number is out of range").with_source(error))
            .and_then(|bytes| match bytes {
                0 if number.contains(|c: char| !matches!(c, '0' | '.')) => {
                    Err(refuse("it is less than one byte"))
                }
                bytes => Ok(Self(bytes)),
            })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let (mut tenths, mut last) = (u128::from(self.0) * 10, "B");
        for unit in UNITS {
            if tenths < 10_235 {
                break;
            }
            // Rounds half up, so that 1023.95 KiB becomes the next unit.
            tenths = (tenths + 512) / 1024;
            last = unit;
        }
        f.pad(&format!("{}.{} {last}", tenths / 10, tenths % 10))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or a text such as \"256MB\"")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> std::result::Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> std::result::Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(Visitor)
        } else {
            deserializer.deserialize_u64(Visitor)
        }
    }
}

#[cfg(test)]
mod tests;
