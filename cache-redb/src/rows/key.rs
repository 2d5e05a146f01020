use cache_core::{BlobName, Digest, Key, KeyView, Namespace};

const DIGEST: usize = 32;
/// A namespace, a zero, a digest, a name, and one more byte.
const MOST: usize = Namespace::MAX_ENCODED_BYTES + 1 + DIGEST + 64 + 1;

/// The key of a row: encoded namespace, a zero, the digest's bytes, and of a blob its name. Rows are in the order of
/// [`Key`]s, since no encoded namespace has a zero.
#[derive(Clone)]
pub(crate) struct RowKey {
    bytes: [u8; MOST],
    len: usize,
}

impl RowKey {
    pub(crate) fn entry(key: KeyView<'_>) -> Self {
        let mut row = Self { bytes: [0; MOST], len: 0 };
        row.push(key.namespace.encoded().as_bytes());
        row.push(&[0]);
        row.push(key.digest.as_bytes());
        row
    }

    pub(crate) fn blob(key: KeyView<'_>, name: &BlobName) -> Self {
        let mut row = Self::entry(key);
        row.push(name.as_str().as_bytes());
        row
    }

    fn push(&mut self, part: &[u8]) {
        // All names fit: their lengths are bounded.
        if let Some(place) = self.bytes.get_mut(self.len..self.len + part.len()) {
            place.copy_from_slice(part);
            self.len += part.len();
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The key that a row of an entry stands for; `None` if that is damaged.
pub(crate) fn entry_of(row: &[u8]) -> Option<Key> {
    let end = row.iter().position(|byte| *byte == 0)?;
    let (namespace, digest) = row.split_at_checked(end)?;
    let digest: [u8; DIGEST] = digest.get(1..)?.try_into().ok()?;
    let namespace = Namespace::decode(str::from_utf8(namespace).ok()?)?;
    Some(Key::new(namespace, Digest::from_bytes(digest)))
}

/// The bounds of an entry's rows of blobs: no name has a byte of all ones.
pub(crate) fn names_of(entry: &[u8]) -> std::ops::Range<Vec<u8>> {
    entry.to_vec()..[entry, &[0xff]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_keys() {
        let root = Namespace::root();
        let spaces = [root.clone(), root.child("a").unwrap(), root.child("a-b").unwrap()];
        let below = spaces[1].child("b").unwrap();
        let mut keys = Vec::new();
        for space in spaces.iter().chain([&below]) {
            for digest in [[0; 32], [0xff; 32], *Digest::of("x").as_bytes()] {
                keys.push(Key::new(space.clone(), Digest::from_bytes(digest)));
            }
        }
        keys.sort();
        let mut rows: Vec<Vec<u8>> =
            keys.iter().map(|key| RowKey::entry(key.view()).as_bytes().to_vec()).collect();
        let sorted = rows.clone();
        rows.sort();
        assert_eq!(rows, sorted);
        let decoded: Vec<_> = rows.iter().map(|row| entry_of(row).unwrap()).collect();
        assert_eq!(decoded, keys);
    }

    #[test]
    fn the_longest_names_fit() {
        let mut space = Namespace::root();
        while let Ok(longer) = space.child("n".repeat(63)) {
            space = longer;
        }
        while let Ok(longer) = space.child("n") {
            space = longer;
        }
        let (key, name) = (Key::new(space, Digest::of("x")), BlobName::new("b".repeat(64)).unwrap());
        let row = RowKey::blob(key.view(), &name);
        assert_eq!(row.as_bytes().len(), key.namespace.encoded().len() + 1 + 32 + 64);
        let entry = RowKey::entry(key.view());
        assert!(names_of(entry.as_bytes()).contains(&row.as_bytes().to_vec()));
        assert_eq!(entry_of(entry.as_bytes()), Some(key));
    }

    #[test]
    fn what_is_no_row_of_an_entry_stands_for_no_key() {
        for odd in [b"".as_slice(), b"\0", &[0; 34], &[1; 33], b"~a\0short"] {
            assert_eq!(entry_of(odd), None);
        }
    }
}
