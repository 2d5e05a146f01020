use std::time::Duration;

use cache_core::{Error, Result};

/// What is left of the 1,024 bytes of a name beside a namespace and a digest.
const MAX_PREFIX_BYTES: usize = 400;
const MIN_PART_BYTES: u64 = 5 << 20;
const MAX_PART_BYTES: u64 = 5 << 30;

/// How a store works, whatever it keeps its objects in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreOptions {
    /// What the names of all objects of the store begin with, such as `team/cache`: up to 400 bytes without empty,
    /// `.` and `..` segments, and none that begins with `~`. Empty by default, which is the whole bucket.
    pub prefix: String,
    /// The stored bytes of all entries together; unlimited if absent, 0 disables the cache. It needs
    /// [`owned`](Self::owned). The store is within this when `flush` returns; one that up to eight processes share exceeds
    /// it by a tenth at most when each has flushed. What there is only a listing tells: it takes one request for every
    /// 1,000 entries, and happens when a process has put an eightieth of this, and in a flush when it has put an eighth of
    /// the room that the last one found.
    pub max_bytes: Option<u64>,
    /// The bytes of one blob, on put and on get; unlimited if absent.
    pub max_blob_bytes: Option<u64>,
    /// Whether everything that is stored below the prefix in this store's layout is this store's to remove: what a
    /// budget and [`clean`](cache_core::Store::clean) need. Off by default: on a bucket that others use too, say by
    /// lifecycle rules of the bucket what is to go.
    pub owned: bool,
    /// How long an operation may take, all its attempts together, besides what its bytes take. At least 1 ms; 30 s by
    /// default. Streams end if nothing comes for so long.
    pub timeout: Duration,
    /// How many bytes a second an operation has to transfer at least: those of large blobs have so much more time.
    /// At least 1; 1 MiB by default.
    pub min_bytes_per_second: u64,
    /// How large the parts of a large entry are: 5 MiB to 5 GiB, 8 MiB by default. What is no larger goes up in one
    /// request. An entry has at most 10,000 parts.
    pub part_bytes: usize,
    /// How many parts of one entry may be on their way at a time: 1 to 64, 4 by default. An upload holds so many parts
    /// and one more in memory.
    pub concurrent_parts: usize,
    /// When an upload that nobody has ended counts as given up, so that `clean` aborts it: 24 h by default.
    pub upload_age: Duration,
    /// Whether a server honours conditions on puts. By default it is tried out when the store is opened.
    pub conditional_puts: Option<bool>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            max_bytes: None,
            max_blob_bytes: None,
            owned: false,
            timeout: Duration::from_secs(30),
            min_bytes_per_second: 1 << 20,
            part_bytes: 8 << 20,
            concurrent_parts: 4,
            upload_age: Duration::from_secs(24 * 3600),
            conditional_puts: None,
        }
    }
}

impl StoreOptions {
    /// Sets what the names of all objects begin with.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the stored bytes of all entries together.
    #[must_use]
    pub fn with_max_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_bytes = max.into();
        self
    }

    /// Sets the bytes of one blob.
    #[must_use]
    pub fn with_max_blob_bytes(mut self, max: impl Into<Option<u64>>) -> Self {
        self.max_blob_bytes = max.into();
        self
    }

    /// Sets whether what is stored below the prefix is this store's to remove.
    #[must_use]
    pub fn with_owned(mut self, owned: bool) -> Self {
        self.owned = owned;
        self
    }

    /// Sets how long an operation may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many bytes a second an operation has to transfer at least.
    #[must_use]
    pub fn with_min_bytes_per_second(mut self, bytes: u64) -> Self {
        self.min_bytes_per_second = bytes;
        self
    }

    /// Sets how large the parts of a large entry are.
    #[must_use]
    pub fn with_part_bytes(mut self, bytes: usize) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// Sets how many parts of one entry may be on their way at a time.
    #[must_use]
    pub fn with_concurrent_parts(mut self, parts: usize) -> Self {
        self.concurrent_parts = parts;
        self
    }

    /// Sets when an upload that nobody has ended counts as given up.
    #[must_use]
    pub fn with_upload_age(mut self, age: Duration) -> Self {
        self.upload_age = age;
        self
    }

    /// Sets whether the server honours conditions on puts; `None` tries it out.
    #[must_use]
    pub fn with_conditional_puts(mut self, honoured: impl Into<Option<bool>>) -> Self {
        self.conditional_puts = honoured.into();
        self
    }

    /// Whether each option is in its range; the error names the first that is not.
    pub(crate) fn check(&self) -> Result<()> {
        check_prefix(&self.prefix)?;
        let part_bytes = u64::try_from(self.part_bytes).unwrap_or(u64::MAX);
        let wrong = if self.timeout < Duration::from_millis(1) {
            "timeout: less than 1 ms"
        } else if self.min_bytes_per_second == 0 {
            "min_bytes_per_second: less than 1"
        } else if !(MIN_PART_BYTES..=MAX_PART_BYTES).contains(&part_bytes) {
            "part_bytes: not from 5 MiB to 5 GiB"
        } else if !(1..=64).contains(&self.concurrent_parts) {
            "concurrent_parts: not from 1 to 64"
        } else if self.max_bytes.is_some_and(|max| max > 0) && !self.owned {
            "max_bytes: a limit removes entries, so it needs `owned`: that the prefix is this store's alone"
        } else {
            return Ok(());
        };
        Err(Error::invalid(wrong))
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Ok(());
    }
    let wrong = if prefix.len() > MAX_PREFIX_BYTES {
        "longer than 400 bytes"
    } else if prefix.chars().any(char::is_control) {
        "has control characters"
    } else if prefix.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        "has an empty, `.` or `..` segment"
    } else if prefix.split('/').any(|segment| segment.starts_with('~')) {
        // Whoever has the prefix above would take them for its own.
        "has a segment that begins with `~`, as namespaces do"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("prefix: {wrong}")))
}

#[cfg(test)]
mod tests;
