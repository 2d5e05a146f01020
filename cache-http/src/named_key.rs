use cache::{Digest, DigestWriter};

/// Stored addresses depend on it: another text would lose every stored entry.
const DOMAIN: &str = "cache-http named key 1";

/// The digest under which a key that is not a digest is stored.
///
/// It is the SHA-256 of the domain, the mount and the key, each preceded by its length (u64, little
/// endian), so that no two of them can ever be taken for one another, nor for hashed content.
pub(crate) fn named_key(mount: &str, key: &str) -> Digest {
    let mut writer = DigestWriter::default();
    for part in [DOMAIN, mount, key] {
        writer.update(&(part.len() as u64).to_le_bytes());
        writer.update(part.as_bytes());
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_key_is_what_stored_entries_are_addressed_by() {
        let digest = named_key("ccache", "079dh92q6rkcl2hcgmgsql5pd6eov28fu");
        assert_eq!(digest.to_string(), "349b2e17c04be0fd56e71878e29fe0a64aeefcb375fc2c3e3d79583324888bd3");
    }

    #[test]
    fn named_keys_are_framed() {
        assert_ne!(named_key("ab", "c"), named_key("a", "bc"));
        assert_ne!(named_key("a", ""), named_key("", "a"));
    }
}
