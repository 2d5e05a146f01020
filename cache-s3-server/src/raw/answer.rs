use bytes::Bytes;

/// What a [`Raw`](crate::Raw) server says, and what it does then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(super) bytes: Bytes,
    pub(super) then: Then,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Close,
    Hold,
    Repeat(Bytes),
}

const ETAG: &str =
    "ETag: \"0123456789abcdef0123456789abcdef\"\r\nLast-Modified: Tue, 04 Nov 2025 12:00:00 GMT\r\n";

const CLOSE: &str = "Connection: close\r\n";

impl Answer {
    /// These bytes, and then closes the connection.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), then: Then::Close }
    }

    /// Says nothing more, and does not close the connection.
    #[must_use]
    pub fn and_holds(mut self) -> Self {
        self.then = Then::Hold;
        self
    }

    /// Says these bytes again and again.
    #[must_use]
    pub fn and_repeats(mut self, bytes: impl Into<Bytes>) -> Self {
        self.then = Then::Repeat(bytes.into());
        self
    }

    /// Never says anything.
    #[must_use]
    pub fn silence() -> Self {
        Self::new("").and_holds()
    }

    /// A status line such as `200 OK`, header lines of which each ends in a line break, and a body with its length. It
    /// says that the connection is closed, so that no client asks once more just before it notices.
    #[must_use]
    pub fn http(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::new(format!("HTTP/1.1 {status}\r\n{headers}{CLOSE}Content-Length: {length}\r\n\r\n{body}"))
    }

    /// 200 with the page that a network asks for a log-in by.
    #[must_use]
    pub fn captive_portal() -> Self {
        let page = "<!DOCTYPE html><html><body>Please log in.</body></html>";
        Self::http("200 OK", &format!("Content-Type: text/html\r\n{ETAG}"), page)
    }

    /// 302 to somewhere else.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::http("302 Found", &format!("Location: {location}\r\n"), "")
    }

    /// 200 with a length that is not true, and a few bytes.
    #[must_use]
    pub fn length(bytes: u64) -> Self {
        Self::new(format!("HTTP/1.1 200 OK\r\n{ETAG}Content-Length: {bytes}\r\n\r\nfew")).and_holds()
    }

    /// 206 that tells a length that is not true, and a few bytes.
    #[must_use]
    pub fn partial(bytes: u64) -> Self {
        let last = bytes.saturating_sub(1);
        let range = format!("Content-Range: bytes 0-{last}/{bytes}\r\nContent-Length: {bytes}\r\n");
        Self::new(format!("HTTP/1.1 206 Partial Content\r\n{ETAG}{range}\r\nfew")).and_holds()
    }

    /// 200 without a length: the body ends with the connection.
    #[must_use]
    pub fn no_length(body: &str) -> Self {
        Self::new(format!("HTTP/1.1 200 OK\r\n{ETAG}\r\n{body}"))
    }

    /// 200 in chunks.
    #[must_use]
    pub fn chunked(body: &str) -> Self {
        let length = body.len();
        Self::new(format!(
            "HTTP/1.1 200 OK\r\n{ETAG}{CLOSE}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
        ))
    }

    /// 200 without an end.
    #[must_use]
    pub fn endless() -> Self {
        Self::new(format!("HTTP/1.1 200 OK\r\n{ETAG}\r\n")).and_repeats(vec![b'x'; 64 << 10])
    }

    /// A status line such as `403 Forbidden`, with a body without an end.
    #[must_use]
    pub fn endless_error(status: &str) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\n\r\n<Error><Code>");
        Self::new(head).and_repeats(vec![b'x'; 64 << 10])
    }
}
