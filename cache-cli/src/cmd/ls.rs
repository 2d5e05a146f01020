use cache::{DigestPrefix, EntryMeta, ListOptions};
use futures::TryStreamExt;
use serde_json::json;

use crate::{Outcome, args::Shared, failure::Failure, output::Output, stores::with_cache};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Lists the namespaces below too.
    #[arg(long)]
    recursive: bool,
    /// Lists only digests that start with these digits.
    #[arg(long)]
    prefix: Option<DigestPrefix>,
    /// Lists at most so many entries.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<usize>,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("ls")?;
    let mut options = ListOptions::default();
    options.recursive = args.recursive;
    options.prefix = args.prefix;
    options.limit = args.limit;
    with_cache(shared, async |cache| {
        let mut entries = cache.list(options)?;
        let mut output = Output::stdout();
        while let Some(entry) = entries.try_next().await? {
            if shared.json {
                output
                    .json(&json!({
                        "namespace": entry.key.namespace.parts(),
                        "digest": entry.key.digest,
                        "bytes": entry.bytes,
                        "stored_bytes": entry.stored_bytes,
                    }))
                    .await?;
            } else {
                output.line(line(&entry)).await?;
            }
        }
        output.finish().await?;
        Ok(Outcome::Done)
    })
    .await
}

/// Digest, size and namespace in columns; the root has no name.
fn line(entry: &EntryMeta) -> String {
    let text = format!("{}  {:>12}  {}", entry.key.digest, entry.counted_bytes(), entry.key.namespace);
    text.trim_end().to_owned()
}
