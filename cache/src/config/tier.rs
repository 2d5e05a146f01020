use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use cache_core::{ByteSize, Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{bucket, duration};
use crate::{Limit, Secret, url::StoreUrl};

/// One store of a [`Config`](crate::Config).
///
/// | `kind`   | takes                                                                     | feature  |
/// |----------|---------------------------------------------------------------------------|----------|
/// | `memory` | `max_size` (2 GB if absent), `max_entries`, `max_blob`, `policy`          | `memory` |
/// | `disk`   | `path`, `max_size`, `max_blob`                                            | `disk`   |
/// | `redb`   | `path`, `max_size`, `max_entries`, `max_blob`, `cache_size` (64 MiB if absent), `durable_puts`, `read_only` | `redb` |
/// | `s3`     | `bucket`, `prefix`, `region`, `virtual_hosted`, `auto_create`, `bulk_delete`, `access_key_id`, `secret_access_key`, `session_token`, and what all buckets take | `s3` |
/// | `gcs`    | `bucket`, `prefix`, `service_account_path`, `service_account_key`, and what all buckets take | `gcs` |
/// | `azure`  | `bucket` (the container), `prefix`, `account`, `emulator`, `access_key`, `sas`, and what all buckets take | `azure` |
///
/// All buckets take `endpoint`, `allow_http`, `anonymous`, `max_size`, `max_blob`, `owned`, `timeout`, `connect_timeout`,
/// `retries`, `min_rate`, `part_size`, `concurrent_parts`, `upload_age` and `conditional_puts`.
///
/// All take a `name`, and what says what a tier is for where several stand: `write`, `read`, `existence`, `promotion`,
/// `max_entry`, `deadline`, `queue_size`, `when_full`, `breaker_failures` and `breaker_pause`. What is said that the kind does not take is refused, when it is read and when it is
/// opened, and so is an unknown kind. A kind whose feature is off can be read but not opened. What is secret is not
/// shown, and a store that has some is not written; but who reads TOML may quote the line in which a fault is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
#[non_exhaustive]
pub struct TierConfig {
    /// Which backend.
    pub kind: String,
    /// What the tier is called in metrics, outcomes and errors, unlike any other; the kind if absent, a
    /// second one of a kind `disk-2` and so on. A store that is alone has no use for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The directory, or the file of `redb`: absolute, without dot segments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The bucket; of Azure the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// What the names of all objects begin with, such as `team/cache`; the whole bucket if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Where the bucket is, such as `eu-central-1`; as the environment says if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The server, such as `http://127.0.0.1:9000`; as the environment says if absent, else that of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the server's name, and not of the path; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_hosted: Option<bool>,
    /// Whether the server may be one without TLS; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
    /// Whether an absent bucket is made; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create: Option<bool>,
    /// Whether many objects are deleted by one request; yes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk_delete: Option<bool>,
    /// The storage account of Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether this is the emulator of Azure; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<bool>,
    /// Whether requests go without credentials; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
    /// Half of a key of S3, the other is [`secret_access_key`](Self::secret_access_key). Without both, credentials are
    /// those of the environment: variables, profile, web identity, instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<Secret>,
    /// The other half of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// What belongs to a key of S3 that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// The file with the key of a service account of Google; as the environment says if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_path: Option<PathBuf>,
    /// The key of a service account of Google itself, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_key: Option<Secret>,
    /// The key of a storage account of Azure; as the environment says if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<Secret>,
    /// A shared access signature of Azure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sas: Option<Secret>,
    /// The bytes of all blobs together, in buckets as they are stored; 0 disables the store. In a bucket it needs
    /// [`owned`](Self::owned).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Limit>,
    /// The number of entries, at least 1; unlimited if absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "Limit::deserialize_things"
    )]
    pub max_entries: Option<Limit>,
    /// The bytes of one blob; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_blob: Option<Limit>,
    /// Whether entries below the prefix are this store's to remove by size and age; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<bool>,
    /// How long an operation may take besides what its bytes take, at least 1 ms; 30 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration")]
    pub timeout: Option<Duration>,
    /// How long making a connection may take, at least 1 ms; 5 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration")]
    pub connect_timeout: Option<Duration>,
    /// How often a request that failed for a passing reason is made again, up to 100; 3 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<usize>,
    /// The bytes a second that large operations are given time for, at least 1; 1 MiB if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rate: Option<ByteSize>,
    /// How large the parts of large entries are, 5 MiB to 5 GiB; 8 MiB if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<ByteSize>,
    /// How many parts of an entry are on their way at a time, 1 to 64; 4 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_parts: Option<usize>,
    /// When an upload that nobody has ended counts as given up; 24 h if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration")]
    pub upload_age: Option<Duration>,
    /// Whether the server honours conditions on puts; it is tried out if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditional_puts: Option<bool>,
    /// Which entries go first: `tiny-lfu`, the default, `lru`, `lfu`, or none: `unbounded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How much memory the database takes for its pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_size: Option<ByteSize>,
    /// Whether each put is durable when it returns, as if a flush followed; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durable_puts: Option<bool>,
    /// Whether the store is only looked into, alone or as a tier that is written `never`; no if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// When it is written: `through`, the default, by every put; `behind` after the put returned; `spill` only with
    /// what the memory directly before it evicts or is too small for, not in buckets; `never`, as the slowest tier, which is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
    /// Whether it is asked for values, and listed; yes if absent. Tiers that are not stand behind those that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<bool>,
    /// Whether it is asked for existence and metadata; yes if absent. What lies there alone is found by reads only, then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existence: Option<bool>,
    /// How what is found in a slower tier comes here: `inline`, the default, before the read is answered, `background`
    /// beside it, or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<String>,
    /// A larger entry is neither put nor promoted here; any size if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entry: Option<ByteSize>,
    /// How long the tier may take to answer a call, at least 1 ms; not limited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration")]
    pub deadline: Option<Duration>,
    /// How much may wait to be written, at least 64 KiB; 64 MiB if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<ByteSize>,
    /// What a put does when no more may wait: `wait`, the default, or `refuse`, which passes the tier over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_full: Option<String>,
    /// After how many failures in a row the tier is left alone; 5 if absent, 0 for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_failures: Option<u32>,
    /// For how long it is, at least 1 ms; 5 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration")]
    pub breaker_pause: Option<Duration>,
}

impl TierConfig {
    /// A store of this kind, of which nothing else is said. It is looked at when it is opened.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            name: None,
            path: None,
            bucket: None,
            prefix: None,
            region: None,
            endpoint: None,
            virtual_hosted: None,
            allow_http: None,
            auto_create: None,
            bulk_delete: None,
            account: None,
            emulator: None,
            anonymous: None,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            service_account_path: None,
            service_account_key: None,
            access_key: None,
            sas: None,
            max_size: None,
            max_entries: None,
            max_blob: None,
            owned: None,
            timeout: None,
            connect_timeout: None,
            retries: None,
            min_rate: None,
            part_size: None,
            concurrent_parts: None,
            upload_age: None,
            conditional_puts: None,
            policy: None,
            cache_size: None,
            durable_puts: None,
            read_only: None,
            write: None,
            read: None,
            existence: None,
            promotion: None,
            max_entry: None,
            deadline: None,
            queue_size: None,
            when_full: None,
            breaker_failures: None,
            breaker_pause: None,
        }
    }

    /// Whether its puts wait in memory.
    #[cfg(feature = "disk")]
    pub(crate) fn is_written_behind(&self) -> bool {
        self.write.as_deref() == Some("behind")
    }

    /// Whether it is written only with what is evicted before it.
    pub(crate) fn is_for_spill(&self) -> bool {
        self.write.as_deref() == Some("spill")
    }

    /// Whether it is never written as a tier.
    pub(crate) fn is_never_written(&self) -> bool {
        self.write.as_deref() == Some("never")
    }

    /// Whether every put writes it before it returns.
    pub(crate) fn is_through(&self) -> bool {
        self.write.as_deref().is_none_or(|write| write == "through")
    }

    /// Whether nothing can be put.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only == Some(true)
    }

    /// Whether it ends with the process.
    pub(crate) fn is_volatile(&self) -> bool {
        self.path.is_none() && self.bucket.is_none()
    }

    /// Whether both are the same place.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        if self.bucket.is_some() {
            bucket::is_same(self, other)
        } else {
            !self.is_volatile() && self.path == other.path
        }
    }
}

impl FromStr for TierConfig {
    type Err = Error;

    /// Reads a URL, see [`open`](crate::open).
    fn from_str(text: &str) -> Result<Self> {
        StoreUrl::parse(text)?.into_tier()
    }
}

// The derived methods read and write the fields; what they read is looked at as a whole.
impl<'de> Deserialize<'de> for TierConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tier = Self::deserialize(deserializer)?;
        tier.check().map_err(de::Error::custom)?;
        Ok(tier)
    }
}

impl Serialize for TierConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl fmt::Debug for TierConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = f.debug_struct("TierConfig");
        for (name, value) in self.fields() {
            if let Some(value) = value {
                said.field(name, &format_args!("{value}"));
            }
        }
        said.finish()
    }
}
