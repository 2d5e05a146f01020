//! Listings, as far as object_store reads them.

use bytes::Bytes;
use object_store::path::Path;

use crate::failure::element;

/// Whether a body is a whole listing. object_store takes any document for one, and what is missing for its end.
pub(super) fn is_listing(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    ["ListBucketResult", "EnumerationResults"].iter().any(|name| {
        let begins = body.find(&format!("<{name}"));
        let end = body.trim_end();
        begins.is_some() && (end.ends_with(&format!("</{name}>")) || end.ends_with(&format!("<{name}/>")))
    })
}

/// A listing without the objects that object_store has no path for, such as `a//b`: one of them would fail all of the
/// page. Whatever they are, no store put them there.
pub(super) fn without_strangers(body: Bytes) -> Bytes {
    let Ok(text) = std::str::from_utf8(&body) else { return body };
    let (object, name) =
        if text.contains("<ListBucketResult") { ("Contents", "Key") } else { ("Blob", "Name") };
    let (begin, end) = (format!("<{object}>"), format!("</{object}>"));
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, (object, after))) =
        rest.split_once(&begin).and_then(|(before, from)| Some((before, from.split_once(&end)?)))
    {
        kept.push_str(before);
        if element(object, name).is_none_or(|name| Path::parse(unescape(name)).is_ok()) {
            kept.extend([&begin, object, &end]);
        }
        rest = after;
    }
    kept.push_str(rest);
    if kept.len() == text.len() { body } else { kept.into() }
}

/// A text of XML with the characters that it has references to.
fn unescape(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(';').and_then(|(name, rest)| Some((reference(name)?, rest))) {
            Some((character, rest)) => {
                plain.push(character);
                plain.push_str(rest);
            }
            None => plain.extend(["&", part]),
        }
    }
    plain
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(number.ok()?)
        }
    }
}

#[cfg(test)]
mod tests;
