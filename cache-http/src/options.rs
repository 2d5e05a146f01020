use std::time::Duration;

use crate::Token;

/// How a cache is served.
///
/// ```
/// use cache_http::{HttpOptions, Token};
///
/// let options = HttpOptions::default().with_token(Token::new("s3cret")?).with_max_body_bytes(1 << 30);
/// assert!(!format!("{options:?}").contains("s3cret"));
/// # Ok::<(), cache::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpOptions {
    /// What every request but `/healthz` must carry; nothing by default.
    pub token: Option<Token>,
    /// The largest body that is taken, 4 GiB by default: linked programs with debug information fit.
    /// The store's own limit for one blob holds beside it.
    pub max_body_bytes: u64,
    /// How long an upload may bring nothing before it is given up, 30 s by default: longer than a
    /// network hiccup, shorter than a build's patience.
    pub body_idle: Duration,
    /// How many bytes a second an upload must bring on average over each [`body_idle`](Self::body_idle),
    /// 1,024 by default, so that a drip cannot hold a connection for ever.
    pub min_body_rate: u64,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { token: None, max_body_bytes: 4 << 30, body_idle: Duration::from_secs(30), min_body_rate: 1024 }
    }
}

impl HttpOptions {
    /// Asks for this token: `Authorization: Bearer TOKEN`, or Basic with it as the password of any user.
    #[must_use]
    pub fn with_token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Answers 413 to larger bodies.
    #[must_use]
    pub fn with_max_body_bytes(mut self, bytes: u64) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// Answers 408 to an upload that brings fewer bytes a second; 0 lets any drip go on.
    #[must_use]
    pub fn with_min_body_rate(mut self, bytes: u64) -> Self {
        self.min_body_rate = bytes;
        self
    }

    /// Answers 408 to an upload that brings nothing for so long.
    #[must_use]
    pub fn with_body_idle(mut self, idle: Duration) -> Self {
        self.body_idle = idle;
        self
    }
}
