//! Where a key's entry and its blobs lie below the root, without an allocation.

use std::ffi::CStr;

use cache_core::{BlobName, Digest, KeyView, Namespace};

/// A namespace, `/hh/`, the digits, `/`, a name whose 64 bytes are all encoded by three, and the end.
const MOST: usize = Namespace::MAX_ENCODED_BYTES + 4 + Digest::DIGITS + 2 + 3 * 64 + 1;

/// A path relative to the root.
pub(crate) struct EntryPath {
    /// Zeros from `len` on, of which there is at least one.
    bytes: [u8; MOST],
    len: usize,
}

impl EntryPath {
    /// `~namespace…/hh`
    pub(crate) fn shard(key: KeyView<'_>) -> Self {
        let mut path = Self { bytes: [0; MOST], len: 0 };
        path.push_shard(key, const_hex::Buffer::<32>::new().format(key.digest.as_bytes()));
        path
    }

    /// `~namespace…/hh/<64 hex>`
    pub(crate) fn entry(key: KeyView<'_>) -> Self {
        let mut path = Self { bytes: [0; MOST], len: 0 };
        path.push_entry(key);
        path
    }

    /// `~namespace…/hh/<64 hex>/~blob`
    pub(crate) fn blob(key: KeyView<'_>, blob: &BlobName) -> Self {
        let mut path = Self { bytes: [0; MOST], len: 0 };
        path.push_entry(key);
        path.push("/");
        if *blob == BlobName::DATA {
            path.push("~data");
        } else {
            path.push(&blob.encoded());
        }
        path
    }

    fn push_shard(&mut self, key: KeyView<'_>, digits: &str) {
        if !key.namespace.is_root() {
            self.push(key.namespace.encoded());
            self.push("/");
        }
        self.push(digits.get(..2).unwrap_or_default());
    }

    fn push_entry(&mut self, key: KeyView<'_>) {
        let mut buffer = const_hex::Buffer::<32>::new();
        let digits = buffer.format(key.digest.as_bytes());
        self.push_shard(key, digits);
        self.push("/");
        self.push(digits);
    }

    /// What does not fit is left out; all keys and names do.
    fn push(&mut self, part: &str) {
        let end = self.len + part.len();
        if end < MOST
            && let Some(place) = self.bytes.get_mut(self.len..end)
        {
            place.copy_from_slice(part.as_bytes());
            self.len = end;
        }
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        let with_end = self.bytes.get(..=self.len).unwrap_or_default();
        CStr::from_bytes_with_nul(with_end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
