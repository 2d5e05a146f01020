use std::{error::Error as StdError, fmt};

use cache_core::ErrorKind;

use super::Absence;

/// How many characters of what a server says are passed on.
const MAX_CHARS: usize = 300;

/// What a server answered to a request that failed, as far as it is worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Absent if the answer is about one object of many.
    pub(crate) status: Option<u16>,
    /// What the service calls it, such as `NoSuchKey`; absent if nobody can tell that it was the service.
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    /// Where the bucket is, if it is elsewhere.
    pub(crate) region: Option<String>,
}

impl Answer {
    /// What object_store says that a server answered. It has no types for it that others may use, but its words are
    /// fixed, and the tests against servers notice when they are others.
    pub(crate) fn of(error: &object_store::Error) -> Option<Self> {
        let mut cause: Option<&dyn StdError> = Some(error);
        while let Some(error) = cause {
            if let Some(answer) = Self::parse(&error.to_string()) {
                return Some(answer);
            }
            cause = error.source();
        }
        None
    }

    fn parse(text: &str) -> Option<Self> {
        if text.starts_with("Received redirect without LOCATION") {
            return Some(Self::new(307, ""));
        }
        if let Some(rest) = text.strip_prefix("DeleteObjects request failed for key ") {
            let (text, code) = rest.rsplit_once(" (code: ")?;
            let message = text.split_once(": ").map_or(text, |(_, message)| message);
            let code = Some(code.trim_end_matches(')').to_owned());
            return Some(Self { status: None, code, message: shorten(message), region: None });
        }
        if let Some(body) = text.strip_prefix("Server returned error response: ") {
            return Some(Self::new(200, body));
        }
        let rest = text.strip_prefix("Server returned non-2xx status code: ")?;
        let (status, body) = rest.split_once(": ").unwrap_or((rest, ""));
        let status: u16 = status.get(..3)?.parse().ok()?;
        Some(Self::new(status, body))
    }

    /// An answer with this status and this body.
    pub(crate) fn new(status: u16, body: &str) -> Self {
        let code = element(body, "Code").map(str::to_owned);
        let message = match &code {
            Some(_) => element(body, "Message").map(shorten).unwrap_or_default(),
            None => shorten(body),
        };
        let region = element(body, "Region").map(str::to_owned);
        Self { status: Some(status), code, message, region }
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    pub(crate) fn absence(&self) -> Absence {
        match self.code() {
            "NoSuchKey" | "NoSuchVersion" | "BlobNotFound" => Absence::Object,
            "NoSuchBucket" | "ContainerNotFound" => Absence::Bucket,
            _ => Absence::Unclear,
        }
    }

    pub(crate) fn is_expired(&self) -> bool {
        let expired = [
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidAccessKeyId",
            "InvalidToken",
            "TokenRefreshRequired",
        ];
        self.status == Some(401) || matches!(self.status, Some(400 | 403)) && expired.contains(&self.code())
    }

    pub(crate) fn is_unsupported(&self) -> bool {
        self.status == Some(501) || matches!(self.code(), "NotImplemented" | "MethodNotAllowed")
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self.code() {
            // The configuration: another region, another name.
            "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "InvalidBucketName" => {
                return ErrorKind::Invalid;
            }
            "AccessDenied" => return ErrorKind::Denied,
            "EntityTooLarge" | "RequestBodyTooLarge" => return ErrorKind::TooLarge,
            "QuotaExceeded" | "XMinioStorageFull" => return ErrorKind::NoSpace,
            "RequestTimeout" => return ErrorKind::Timeout,
            _ => {}
        }
        match self.status {
            _ if self.is_expired() => ErrorKind::Denied,
            Some(401 | 403) => ErrorKind::Denied,
            Some(408 | 504) => ErrorKind::Timeout,
            Some(413) => ErrorKind::TooLarge,
            Some(507) => ErrorKind::NoSpace,
            _ if self.is_unsupported() => ErrorKind::Unsupported,
            _ => ErrorKind::Unavailable,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(300..400) => f.write_str("the server sends elsewhere: is it another region or endpoint?")?,
            Some(status) => write!(f, "the server answered {status}")?,
            None => f.write_str("the server answered")?,
        }
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match &self.region {
            Some(region) => write!(f, " (region {region})"),
            None => Ok(()),
        }
    }
}

/// The text of the first element of this name, as it is written.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.split_once(&format!("<{name}>"))?.1;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

/// One line, not too long.
pub(crate) fn shorten(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * MAX_CHARS {
            break;
        }
    }
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}
