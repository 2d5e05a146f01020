//! The backends that exist, whether or not their features are on.

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// What a description of it may say.
    pub(crate) takes: &'static [&'static str],
}

const KINDS: [Kind; 2] = [
    Kind { name: "memory", takes: &["max_size", "max_entries", "max_blob", "policy", "write"] },
    Kind { name: "disk", takes: &["path", "max_size", "max_blob", "write"] },
];

impl Kind {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    pub(crate) fn takes(&self, field: &str) -> bool {
        self.takes.contains(&field)
    }

    /// The names of all, each shown by `show`.
    pub(crate) fn known(show: impl Fn(&str) -> String) -> String {
        KINDS.iter().map(|kind| show(kind.name)).collect::<Vec<_>>().join(" and ")
    }
}
