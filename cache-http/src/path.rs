use std::borrow::Cow;

use axum::http::StatusCode;
use percent_encoding::percent_decode_str;

use crate::refused::Refused;

/// The decoded parts of a request path, runs of `/` taken as one. A path that ends in `/` has an
/// empty last part, which no key is.
///
/// Nothing that could climb or split when it is joined again gets through: dot names, separators and
/// control characters are refused however they are encoded.
pub(crate) fn split(path: &str) -> Result<Vec<Cow<'_, str>>, Refused> {
    let mut parts = Vec::new();
    let mut raw_parts = path.split('/').peekable();
    while let Some(raw) = raw_parts.next() {
        let ends_in_slash = raw.is_empty() && raw_parts.peek().is_none() && !parts.is_empty();
        if !raw.is_empty() || ends_in_slash {
            parts.push(decode(raw)?);
        }
    }
    Ok(parts)
}

fn decode(raw: &str) -> Result<Cow<'_, str>, Refused> {
    if !escapes_are_whole(raw) {
        return Err(malformed("a broken percent escape"));
    }
    let part = percent_decode_str(raw).decode_utf8().map_err(|_| malformed("a name that is not UTF-8"))?;
    if matches!(&*part, "." | "..") {
        return Err(malformed("a dot name"));
    }
    if part.contains(['/', '\\']) {
        return Err(malformed("an encoded separator"));
    }
    if part.contains(char::is_control) {
        return Err(malformed("a control character"));
    }
    Ok(part)
}

/// Whether two hex digits follow every percent sign.
fn escapes_are_whole(raw: &str) -> bool {
    raw.split('%').skip(1).all(|rest| {
        let mut digits = rest.bytes().take(2);
        let mut is_hex = || digits.next().is_some_and(|digit| digit.is_ascii_hexdigit());
        is_hex() && is_hex()
    })
}

fn malformed(what: &str) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, format!("the path contains {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        assert_eq!(split(path).unwrap(), expected, "{path}");
    }

    #[test]
    fn slashes_are_merged() {
        check("", &[]);
        check("/", &[]);
        check("///", &[]);
        check("/a", &["a"]);
        check("//a///b", &["a", "b"]);
        check("/a/b/", &["a", "b", ""]);
        check("/a/b///", &["a", "b", ""]);
    }

    #[test]
    fn parts_are_decoded() {
        check("/a%20b/%C3%A4/100%25", &["a b", "ä", "100%"]);
        check("/.a/a..b/...", &[".a", "a..b", "..."]);
    }

    #[test]
    fn parts_that_are_unsafe_are_refused() {
        for path in [
            "/..",
            "/a/../b",
            "/.",
            "/%2e%2e/a",
            "/%2E./a",
            "/a/.%2e",
            "/a%00b",
            "/a%0ab",
            "/a%2fb",
            "/a%5Cb",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%ff",
            "/a%7f",
        ] {
            assert_eq!(split(path).unwrap_err().status(), StatusCode::BAD_REQUEST, "{path}");
        }
    }
}
