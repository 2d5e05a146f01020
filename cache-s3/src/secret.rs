use std::fmt;

/// A text that nothing prints: a secret key, a token, a signature.
///
/// `Debug` shows that there is one, and there is no `Display`.
///
/// ```
/// use cache_s3::Secret;
///
/// assert_eq!(format!("{:?}", Secret::from("wJalrXUtnFEMI")), "…");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who signs with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
