use cache::{ErrorKind, KeyRef};
use serde_json::json;

use crate::{Outcome, args::Shared, failure::Failure, output, stores::with_cache};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The first digits of a digest, at least 4.
    #[arg(value_name = "PREFIX")]
    prefix: KeyRef,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("expand")?;
    with_cache(shared, async |cache| {
        let digest = match cache.expand(args.prefix).await {
            Ok(digest) => digest.to_string(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Miss),
            Err(error) => return Err(error.into()),
        };
        output::answer(shared.json, &digest, || json!({ "digest": digest })).await?;
        Ok(Outcome::Done)
    })
    .await
}
