use std::time::Duration;

use cache::{ByteSize, CleanPolicy};
use serde_json::json;

use crate::{Outcome, args::Shared, failure::Failure, output, stores::with_cache};

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// Keeps at most so many bytes, such as 50GB; the least recently used entries go first.
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    max_size: Option<ByteSize>,
    /// Keeps nothing whose newest blob is older than this, such as 7d or 12h.
    #[arg(long, value_name = "AGE", value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("clean")?;
    let mut policy = CleanPolicy::default();
    policy.max_bytes = args.max_size.map(ByteSize::bytes);
    policy.max_age = args.max_age;
    with_cache(shared, async |cache| {
        let report = cache.clean(&policy).await?;
        let line = format!(
            "evicted {} entries, {}; kept {} entries, {}",
            report.evicted_entries,
            ByteSize::new(report.evicted_bytes),
            report.kept_entries,
            ByteSize::new(report.kept_bytes)
        );
        let value = || {
            json!({
                "evicted_entries": report.evicted_entries,
                "evicted_bytes": report.evicted_bytes,
                "kept_entries": report.kept_entries,
                "kept_bytes": report.kept_bytes,
            })
        };
        output::answer(shared.json, line, value).await?;
        Ok(Outcome::Done)
    })
    .await
}
