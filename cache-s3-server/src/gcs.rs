//! What Google's XML dialect has that S3's has not, and the other way round.

use http::{HeaderMap, HeaderName, header};

/// Tells the version of an object.
pub(crate) const GENERATION: HeaderName = HeaderName::from_static("x-goog-generation");

const NAMES: [(&str, &str); 2] =
    [("x-goog-meta-", "x-amz-meta-"), ("x-goog-copy-source", "x-amz-copy-source")];

/// A request as S3 knows it. Tokens are not looked at.
pub(crate) fn request(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    rename(headers, |(google, amazon)| (google, amazon));
}

/// An answer as Google gives it.
pub(crate) fn answer(headers: &mut HeaderMap) {
    rename(headers, |(google, amazon)| (amazon, google));
}

fn rename(headers: &mut HeaderMap, way: fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    for (from, to) in NAMES.map(way) {
        let old: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(from)).cloned().collect();
        for name in old {
            let new = name.as_str().replacen(from, to, 1);
            if let (Ok(new), Some(value)) = (HeaderName::try_from(new), headers.remove(&name)) {
                headers.insert(new, value);
            }
        }
    }
}
