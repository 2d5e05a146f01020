//! The backends that exist, whether or not their features are on.

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// What its URLs begin with.
    pub(crate) scheme: &'static str,
    pub(crate) place: Place,
    /// What a description of it may say, beside what says where it is.
    takes: &'static [&'static [&'static str]],
}

/// Where a store is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the process: a description has no place.
    Process,
    /// In a directory or a file.
    Path,
    /// In a bucket, below a prefix.
    Bucket,
}

/// What all stores in buckets take.
const BUCKET: &[&str] = &[
    "endpoint",
    "allow_http",
    "anonymous",
    "max_size",
    "max_blob",
    "owned",
    "timeout",
    "connect_timeout",
    "retries",
    "min_rate",
    "part_size",
    "concurrent_parts",
    "upload_age",
    "conditional_puts",
];

/// What all stores take that stand in tiers.
pub(crate) const ROLE: &[&str] = &[
    "write",
    "read",
    "existence",
    "promotion",
    "max_entry",
    "deadline",
    "queue_size",
    "when_full",
    "breaker_failures",
    "breaker_pause",
];

const KINDS: [Kind; 6] = [
    Kind {
        name: "memory",
        scheme: "memory",
        place: Place::Process,
        takes: &[&["max_size", "max_entries", "max_blob", "policy"]],
    },
    Kind { name: "disk", scheme: "disk", place: Place::Path, takes: &[&["max_size", "max_blob"]] },
    Kind {
        name: "redb",
        scheme: "redb",
        place: Place::Path,
        takes: &[&["max_size", "max_entries", "max_blob", "cache_size", "durable_puts", "read_only"]],
    },
    Kind {
        name: "s3",
        scheme: "s3",
        place: Place::Bucket,
        takes: &[
            &["region", "virtual_hosted", "auto_create", "bulk_delete"],
            BUCKET,
            &["access_key_id", "secret_access_key", "session_token"],
        ],
    },
    Kind {
        name: "gcs",
        scheme: "gs",
        place: Place::Bucket,
        takes: &[&["service_account_path"], BUCKET, &["service_account_key"]],
    },
    Kind {
        name: "azure",
        scheme: "az",
        place: Place::Bucket,
        takes: &[&["account", "emulator"], BUCKET, &["access_key", "sas"]],
    },
];

impl Kind {
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    pub(crate) fn of_scheme(scheme: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.scheme == scheme)
    }

    pub(crate) fn takes(&self, field: &str) -> bool {
        self.fields().any(|name| name == field)
    }

    /// All that a description of it may say.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static str> + use<> {
        let place: &[&str] = match self.place {
            Place::Process => &[],
            Place::Path => &["path"],
            Place::Bucket => &["bucket", "prefix"],
        };
        place.iter().chain(self.takes.iter().copied().flatten()).chain(ROLE).copied()
    }

    /// The names of all, each shown by `show`.
    pub(crate) fn known(show: impl Fn(&Self) -> String) -> String {
        let (last, others) = match KINDS.split_last() {
            Some((last, others)) => (show(last), others),
            None => return String::new(),
        };
        let others: Vec<_> = others.iter().map(show).collect();
        format!("{} and {last}", others.join(", "))
    }
}
