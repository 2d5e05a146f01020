use std::fmt;

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use cache::{Digest, Error, Result};

/// What a client must know to be served.
///
/// Only its hash is kept, so that it can neither be printed nor be guessed from how long a comparison
/// takes.
///
/// ```
/// use cache_http::Token;
///
/// assert_eq!(format!("{:?}", Token::new("s3cret")?), "Token(..)");
/// assert!(Token::new("").is_err());
/// # Ok::<(), cache::Error>(())
/// ```
#[derive(Clone)]
pub struct Token(Digest);

/// Clients differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Token {
    /// A token of visible ASCII characters.
    ///
    /// # Errors
    ///
    /// [`Invalid`](cache::ErrorKind::Invalid) for an empty one and for one with a space, a control or
    /// another character that an HTTP header cannot carry everywhere. The text is not repeated.
    pub fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        if text.is_empty() {
            return Err(Error::invalid("a token must not be empty"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid("a token has only visible ASCII characters and no spaces"));
        }
        Ok(Self(Digest::of(text)))
    }

    /// Whether a request with these headers may be served.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(AUTHORIZATION) else { return false };
        let Some((scheme, credentials)) = split_scheme(given.as_bytes()) else { return false };
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return self.is(credentials);
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return false;
        }
        let Ok(pair) = BASE64.decode(credentials) else { return false };
        let mut user_and_password = pair.splitn(2, |&byte| byte == b':').skip(1);
        user_and_password.next().is_some_and(|password| self.is(password))
    }

    /// Compares hashes: the time it takes tells nothing of the token.
    fn is(&self, given: &[u8]) -> bool {
        Digest::of(given) == self.0
    }
}

fn split_scheme(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = header.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = header.split_at_checked(end)?;
    Some((scheme, rest.trim_ascii()))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests;
