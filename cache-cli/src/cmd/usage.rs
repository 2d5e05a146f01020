use serde_json::json;

use crate::{Outcome, args::Shared, failure::Failure, output, stores::with_cache};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("usage")?;
    with_cache(shared, async |cache| {
        let usage = cache.usage().await?;
        output::answer(
            shared.json,
            usage.to_string(),
            || json!({ "entries": usage.entries, "bytes": usage.bytes, "stored_bytes": usage.stored_bytes }),
        )
        .await?;
        Ok(Outcome::Done)
    })
    .await
}
