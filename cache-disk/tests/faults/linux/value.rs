//! Values that tell by themselves whether they are right: every 64 bytes name the blob and the version
//! they belong to, and their place in it.

/// The shortest value that tells all.
pub(crate) const LEAST: usize = 32;

fn head(key: u32, blob: &str, version: u64, len: usize) -> [u8; LEAST] {
    let mut head = [b'.'; LEAST];
    let name = &blob.as_bytes()[..blob.len().min(8)];
    head[..4].copy_from_slice(&key.to_le_bytes());
    head[4..12].copy_from_slice(&version.to_le_bytes());
    head[12..20].copy_from_slice(&(len as u64).to_le_bytes());
    head[20..20 + name.len()].copy_from_slice(name);
    head
}

/// The bytes of a version of a blob.
pub(crate) fn value(key: u32, blob: &str, version: u64, len: usize) -> Vec<u8> {
    assert!(len >= LEAST, "a value of {len} bytes cannot tell what it is");
    let head = head(key, blob, version, len);
    let mut value = Vec::with_capacity(len + 40);
    let mut place = 0_u64;
    while value.len() < len {
        value.extend_from_slice(&head);
        value.extend_from_slice(&place.to_le_bytes());
        place += 1;
    }
    value.truncate(len);
    value
}

/// Which version of the blob these bytes are, if they are one, whole.
pub(crate) fn version(key: u32, blob: &str, bytes: &[u8]) -> Option<u64> {
    let told = u64::from_le_bytes(bytes.get(4..12)?.try_into().ok()?);
    (bytes.len() >= LEAST && value(key, blob, told, bytes.len()) == bytes).then_some(told)
}
