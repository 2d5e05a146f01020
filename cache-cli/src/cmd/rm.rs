use cache::KeyRef;

use crate::{Outcome, args::Shared, failure::Failure, stores::with_cache};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's digest, or its first 4 digits or more.
    #[arg(value_name = "DIGEST")]
    digest: KeyRef,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("rm")?;
    shared.without_json("rm")?;
    with_cache(shared, async |cache| {
        cache.evict(args.digest).await?;
        // Done means that a power cut cannot undo it.
        cache.flush().await?;
        Ok(Outcome::Done)
    })
    .await
}
