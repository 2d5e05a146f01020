use cache_core::{Digest, DigestPrefix, Key, ListOptions, Namespace};
use object_store::path::Path;

/// What stands between a namespace and a digest. It sorts before everything that the encoding of a namespace may have:
/// so the order of names is that of keys. A `/` would not do: `~a-b` sorts before `~a/`.
pub(crate) const SEPARATOR: char = '!';

/// How keys and the names of objects correspond: `prefix/~namespace/~path!digest`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Empty, or with a `/` at its end.
    prefix: String,
}

impl Layout {
    /// `prefix` has no empty segments.
    pub(crate) fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") } }
    }

    /// What all names begin with: empty, or with a `/` at its end.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn name(&self, key: &Key) -> String {
        format!("{}{}{SEPARATOR}{}", self.prefix, key.namespace.encoded(), key.digest)
    }

    /// The key of an object; `None` for a stranger.
    pub(crate) fn key(&self, name: &str) -> Option<Key> {
        let (namespace, digest) = name.strip_prefix(&self.prefix)?.rsplit_once(SEPARATOR)?;
        let is_canonical = digest.bytes().all(|digit| !digit.is_ascii_uppercase());
        Some(Key::new(Namespace::decode(namespace)?, digest.parse::<Digest>().ok().filter(|_| is_canonical)?))
    }

    /// What names begin with that a listing may have, in the order of listings.
    pub(crate) fn ranges(&self, options: &ListOptions) -> Vec<String> {
        let mut digits = options.prefix.as_ref().map(DigestPrefix::to_string).unwrap_or_default();
        // A whole name is none of those that begin with it, as object_store lists Azure's.
        digits.truncate(63);
        let namespace = options.namespace.encoded();
        let here = format!("{}{namespace}{SEPARATOR}{digits}", self.prefix);
        // All namespaces begin so, and few strangers do.
        let below = if namespace.is_empty() { "~".to_owned() } else { format!("{namespace}/") };
        let below = options.recursive.then(|| format!("{}{below}", self.prefix));
        std::iter::once(here).chain(below).collect()
    }

    /// The directory that has all of a namespace and those below it, and strangers, for listings that know
    /// only directories; `None` for the whole bucket.
    pub(crate) fn directory(&self, namespace: &Namespace) -> Option<Path> {
        // Entries of `~a/~b` are in the directory of `~a`.
        let parent = namespace.encoded().rsplit_once('/').map_or("", |(parent, _)| parent);
        let directory = format!("{}{parent}", self.prefix);
        let directory = directory.trim_end_matches('/');
        if directory.is_empty() { None } else { Path::parse(directory).ok() }
    }
}

#[cfg(test)]
mod tests;
