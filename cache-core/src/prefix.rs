use std::{fmt, str::FromStr};

use crate::{Digest, Error, Result, digest::check_digits};

/// The first 1 to 64 hex digits of a digest; odd numbers too.
///
/// ```
/// use cache_core::{Digest, DigestPrefix};
///
/// let digest = Digest::of(b"abc");
/// let prefix: DigestPrefix = "ba7".parse()?;
/// assert!(prefix.matches(&digest));
/// assert_eq!(digest.prefix(3), prefix);
/// # Ok::<(), cache_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DigestPrefix {
    /// The digits, then zeros.
    first: Digest,
    digits: u8,
}

impl DigestPrefix {
    /// The shortest prefix that `shrink` answers and that a handle accepts by default.
    pub const DEFAULT_MIN_DIGITS: usize = 4;

    pub(crate) fn cut(digest: Digest, digits: usize) -> Self {
        let digits = digits.clamp(1, Digest::DIGITS);
        let mut bytes = *digest.as_bytes();
        for (index, byte) in bytes.iter_mut().enumerate() {
            match digits.saturating_sub(index * 2) {
                0 => *byte = 0,
                1 => *byte &= 0xf0,
                _ => {}
            }
        }
        // `digits` is at most 64.
        Self { first: Digest::from_bytes(bytes), digits: u8::try_from(digits).unwrap_or(64) }
    }

    /// How many hex digits this prefix has, 1 to 64.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a prefix has at least one digit")]
    pub fn len(&self) -> usize {
        self.digits.into()
    }

    /// Whether `digest` starts with these digits.
    #[must_use]
    pub fn matches(&self, digest: &Digest) -> bool {
        self.first.shared_digits(digest) >= self.len() || Self::cut(*digest, self.len()) == *self
    }

    /// The smallest digest with this prefix.
    #[must_use]
    pub fn first(&self) -> Digest {
        self.first
    }

    /// The greatest digest with this prefix.
    #[must_use]
    pub fn last(&self) -> Digest {
        let mut bytes = *self.first.as_bytes();
        for (index, byte) in bytes.iter_mut().enumerate() {
            match self.len().saturating_sub(index * 2) {
                0 => *byte = 0xff,
                1 => *byte |= 0x0f,
                _ => {}
            }
        }
        Digest::from_bytes(bytes)
    }

    /// The digest, if all 64 digits are here.
    #[must_use]
    pub fn as_digest(&self) -> Option<Digest> {
        (self.len() == Digest::DIGITS).then_some(self.first)
    }
}

impl From<Digest> for DigestPrefix {
    fn from(digest: Digest) -> Self {
        Self::cut(digest, Digest::DIGITS)
    }
}

impl FromStr for DigestPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        check_digits(text)?;
        if text.is_empty() || text.len() > Digest::DIGITS {
            return Err(Error::invalid(format!(
                "a digest prefix has 1 to 64 hex digits, this text has {}",
                text.len()
            )));
        }
        let digest: Digest = format!("{text:0<64}").parse()?;
        Ok(Self::cut(digest, text.len()))
    }
}

impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.first.to_string();
        f.pad(text.get(..self.len()).unwrap_or(&text))
    }
}

impl fmt::Debug for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestPrefix({self})")
    }
}

#[cfg(test)]
mod tests;
