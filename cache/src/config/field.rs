use std::{fmt, path::PathBuf, time::Duration};

use cache_core::ByteSize;

use super::{TierConfig, bucket, duration};
use crate::Secret;

/// What a description says in one field.
#[derive(PartialEq, Eq)]
pub(super) struct Field {
    text: String,
    /// What is shown in its place.
    told: Option<String>,
}

impl Field {
    pub(super) fn new(value: &impl ToString) -> Self {
        Self { text: value.to_string(), told: None }
    }

    /// A field of which only `told` is shown.
    pub(super) fn hidden(text: &str, told: impl Into<String>) -> Self {
        Self { text: text.to_owned(), told: Some(told.into()) }
    }

    /// How one that is shown as it is differs from what it was.
    pub(super) fn difference(was: Option<&Self>, is: Option<&Self>) -> Option<String> {
        if was == is {
            return None;
        }
        let say = |field: Option<&Self>| field.map_or_else(|| "absent".to_owned(), Self::to_string);
        let (was, is) = (say(was), say(is));
        Some(if was == is { "is another now".to_owned() } else { format!("was {was}, and is {is} now") })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.told.as_ref().unwrap_or(&self.text))
    }
}

impl TierConfig {
    /// What it says, in the order in which it is told.
    pub(super) fn fields(&self) -> [(&'static str, Option<Field>); 47] {
        fn plain(value: Option<&impl ToString>) -> Option<Field> {
            value.map(Field::new)
        }
        let path = |path: Option<&PathBuf>| path.map(|path| Field::new(&format!("{path:?}")));
        let size = |size: Option<ByteSize>| size.map(|size| Field::new(&size.bytes()));
        let time = |time: Option<Duration>| time.map(|time| Field::new(&duration::show(time)));
        let secret = |secret: Option<&Secret>| secret.map(|secret| Field::hidden(secret.reveal(), "…"));
        [
            ("kind", plain(Some(&self.kind))),
            ("name", plain(self.name.as_ref())),
            ("path", path(self.path.as_ref())),
            ("bucket", plain(self.bucket.as_ref())),
            ("prefix", plain(self.prefix.as_ref())),
            ("region", plain(self.region.as_ref())),
            ("endpoint", self.endpoint.as_deref().map(bucket::endpoint)),
            ("virtual_hosted", plain(self.virtual_hosted.as_ref())),
            ("allow_http", plain(self.allow_http.as_ref())),
            ("auto_create", plain(self.auto_create.as_ref())),
            ("bulk_delete", plain(self.bulk_delete.as_ref())),
            ("account", plain(self.account.as_ref())),
            ("emulator", plain(self.emulator.as_ref())),
            ("anonymous", plain(self.anonymous.as_ref())),
            ("access_key_id", secret(self.access_key_id.as_ref())),
            ("secret_access_key", secret(self.secret_access_key.as_ref())),
            ("session_token", secret(self.session_token.as_ref())),
            ("service_account_path", path(self.service_account_path.as_ref())),
            ("service_account_key", secret(self.service_account_key.as_ref())),
            ("access_key", secret(self.access_key.as_ref())),
            ("sas", secret(self.sas.as_ref())),
            ("max_size", plain(self.max_size.as_ref())),
            ("max_entries", plain(self.max_entries.as_ref())),
            ("max_blob", plain(self.max_blob.as_ref())),
            ("owned", plain(self.owned.as_ref())),
            ("timeout", time(self.timeout)),
            ("connect_timeout", time(self.connect_timeout)),
            ("retries", plain(self.retries.as_ref())),
            ("min_rate", size(self.min_rate)),
            ("part_size", size(self.part_size)),
            ("concurrent_parts", plain(self.concurrent_parts.as_ref())),
            ("upload_age", time(self.upload_age)),
            ("conditional_puts", plain(self.conditional_puts.as_ref())),
            ("policy", plain(self.policy.as_ref())),
            ("cache_size", size(self.cache_size)),
            ("durable_puts", plain(self.durable_puts.as_ref())),
            ("read_only", plain(self.read_only.as_ref())),
            ("write", plain(self.write.as_ref())),
            ("read", plain(self.read.as_ref())),
            ("existence", plain(self.existence.as_ref())),
            ("promotion", plain(self.promotion.as_ref())),
            ("max_entry", size(self.max_entry)),
            ("deadline", time(self.deadline)),
            ("queue_size", size(self.queue_size)),
            ("when_full", plain(self.when_full.as_ref())),
            ("breaker_failures", plain(self.breaker_failures.as_ref())),
            ("breaker_pause", time(self.breaker_pause)),
        ]
    }
}
