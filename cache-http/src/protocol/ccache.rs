//! ccache's HTTP storage in its three layouts. Keys are 33 characters (up to 4.12) or 40 (since 4.13),
//! flat or cut after two characters, which is the same key; the bazel layout is `ac/` and 64 hex digits.
//! Values are opaque and replaceable: manifests grow under their key.

use std::borrow::Cow;

use cache::Digest;

use super::{Content, Mount, Place, malformed};
use crate::{named_key::named_key, refused::Refused};

pub(super) const MOUNT: Mount = Mount { name: "ccache", locate };

fn locate(key: &[Cow<'_, str>]) -> Result<Place, Refused> {
    let Some(key) = canonical(key) else { return Err(malformed("not a ccache key")) };
    Ok(Place { space: &["ccache"], digest: named_key("ccache", &key), content: Content::Opaque })
}

/// One text per key, whatever the layout.
fn canonical(key: &[Cow<'_, str>]) -> Option<String> {
    match key {
        [head, digest] if head == "ac" && digest.parse::<Digest>().is_ok() => Some(format!("ac/{digest}")),
        [flat] if is_key(flat) => Some(flat.to_string()),
        [head, tail] if head.len() == 2 => Some(format!("{head}{tail}")).filter(|flat| is_key(flat)),
        _ => None,
    }
}

fn is_key(text: &str) -> bool {
    matches!(text.len(), 33 | 40) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'))
}
