//! Bazel's HTTP cache: `ac/{64 hex}` for action results and `cas/{64 hex}` for what they refer to.
//!
//! An action is stored in the `cas` space under the same digits as its result in the `ac` space. The
//! `cas` space is the common one. Results have a space of their own, since they are not opaque: Bazel
//! fails a build that finds a result without its outputs.

use std::borrow::Cow;

use super::{Content, Mount, Place, cas, digest_key};
use crate::refused::Refused;

pub(super) const MOUNT: Mount = Mount { name: "bazel", locate };

fn locate(key: &[Cow<'_, str>]) -> Result<Place, Refused> {
    match key {
        [space, key @ ..] if space == "cas" => cas::locate(key),
        [space, key @ ..] if space == "ac" => {
            Ok(Place { space: &["bazel", "ac"], digest: digest_key(key)?, content: Content::Opaque })
        }
        _ => Err(Refused::unknown_route()),
    }
}
