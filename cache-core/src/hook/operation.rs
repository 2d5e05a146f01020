use crate::{DigestPrefix, Error, Key, ListOptions, Namespace, Result, chain::Chain};

/// What an operation does to its target, so that a lock can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// It changes nothing that another operation reads: it may share.
    Read,
    /// It may change the target: it wants it alone.
    Write,
}

impl Intent {
    /// `read` or `write`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What an operation is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One entry.
    Key(Key),
    /// The entries of one namespace whose digests have this prefix, of which a short digest means one.
    Prefix(Namespace, DigestPrefix),
    /// The entries of a namespace and of all below it.
    Scope(Namespace),
    /// All of the store.
    Store,
}

impl Target {
    /// What a listing looks at.
    pub(crate) fn of_listing(options: &ListOptions) -> Self {
        match options.prefix {
            Some(prefix) if !options.recursive => Self::Prefix(options.namespace.clone(), prefix),
            _ => Self::Scope(options.namespace.clone()),
        }
    }

    /// The entry, if it is one.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Key(key) => Some(key),
            _ => None,
        }
    }

    /// The namespace that it lies in; `None` for all of the store.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::Key(key) => Some(&key.namespace),
            Self::Prefix(namespace, _) | Self::Scope(namespace) => Some(namespace),
            Self::Store => None,
        }
    }
}

/// One operation, as a hook sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The name of the method, such as `get`.
    pub name: &'static str,
    /// What it is about.
    pub target: Target,
    /// What it does to that.
    pub intent: Intent,
    chain: Chain,
}

impl Operation {
    /// An operation that begins here: nested, if this task is inside of one.
    #[must_use]
    pub fn new(name: &'static str, target: Target, intent: Intent) -> Self {
        Self { name, target, intent, chain: Chain::current_or_new().enter() }
    }

    /// One that reads the entry `key`.
    #[must_use]
    pub fn read(name: &'static str, key: &Key) -> Self {
        Self::new(name, Target::Key(key.clone()), Intent::Read)
    }

    /// One that may change the entry `key`.
    #[must_use]
    pub fn write(name: &'static str, key: &Key) -> Self {
        Self::new(name, Target::Key(key.clone()), Intent::Write)
    }

    /// A number that this operation has in common with those nested in it and with those that it is
    /// nested in, and with no other of this process.
    ///
    /// A hook that makes operations wait goes by it: one that waits for another of its own chain waits
    /// for ever.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.chain.id()
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Names the operation and the key in the error of a hook, where it does not.
    pub(super) fn explain<T>(&self, answer: Result<T>) -> Result<T> {
        answer.map_err(|error| {
            let error = if error.operation().is_empty() {
                let store = error.store().to_owned();
                error.at(store, self.name)
            } else {
                error
            };
            match self.target.key() {
                Some(key) if error.key().is_none() => Error::with_key(error, key),
                _ => error,
            }
        })
    }
}
