use cache::{Cache, CopyOptions, CopyReport, Key, Overwrite};
use serde_json::{Value, json};

use crate::{
    Outcome,
    args::Shared,
    failure::Failure,
    output::Output,
    progress,
    stores::{self, with_cache},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store to copy from.
    from: String,
    /// The store to copy to.
    to: String,
    /// What becomes of an entry that the target has in another version.
    #[arg(long, value_name = "WHEN", default_value = "older")]
    overwrite: When,
    /// Does not read back what was written, nor compare the bytes of what is there already.
    #[arg(long)]
    no_verify: bool,
    /// Begins after this key, as an earlier copy told it: NAMESPACE/DIGEST.
    #[arg(long, value_name = "KEY", value_parser = key_of)]
    start_after: Option<Key>,
    /// How many entries are copied at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum When {
    /// Replaces it if it was modified earlier, or nothing tells.
    Older,
    /// Replaces it.
    Always,
    /// Leaves it.
    Never,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("copy")?;
    if !shared.store.is_empty() {
        return Err(Failure::because("copy takes no --store: give the two stores as URLs"));
    }
    stores::must_exist(&args.from).await?;
    let mut options = CopyOptions::default()
        .with_verify(!args.no_verify)
        .with_at_once(args.jobs)
        .with_overwrite(match args.overwrite {
            When::Older => Overwrite::Older,
            When::Always => Overwrite::Always,
            When::Never => Overwrite::Never,
        });
    options.start_after = args.start_after;
    let of = |url: String| Shared { store: vec![url], ..shared.clone() };
    let target = of(args.to);
    with_cache(&of(args.from), async |from| {
        with_cache(&target, async |to| copy(from, to, options, shared.json).await).await
    })
    .await
}

async fn copy(from: &Cache, to: &Cache, mut options: CopyOptions, json: bool) -> Result<Outcome, Failure> {
    let bar = progress::store();
    if !bar.is_hidden() {
        let bar = bar.clone();
        options = options.with_progress(move |at| {
            bar.set_length(at.of_bytes);
            bar.set_position(at.bytes);
            bar.set_message(format!("copying {} of {}", at.entries, at.of_entries));
        });
    }
    let report = from.copy_to(to, &options).await;
    bar.finish_and_clear();
    let report = report?;
    match tell(&report, json).await {
        // Whoever does not read on still gets the verdict.
        Ok(()) | Err(Failure::ClosedPipe) => {}
        Err(failure) => return Err(failure),
    }
    if let Some(error) = report.first_error.as_ref().or(report.flush_error.as_ref()) {
        return Err(Failure::because(error.to_line()));
    }
    Ok(if report.is_complete() { Outcome::Done } else { Outcome::Incomplete })
}

async fn tell(report: &CopyReport, json: bool) -> Result<(), Failure> {
    let mut output = Output::stdout();
    if json {
        output.json(&value(report)).await?;
    } else {
        for key in &report.missing {
            output.line(format!("missing {}  {}", key.digest, key.namespace).trim_end()).await?;
        }
        if let Some(key) = report.resume_after.as_ref().filter(|_| report.first_error.is_some()) {
            output.line(format!("go on with --start-after {key}")).await?;
        }
        // The errors are told apart.
        let mut figures = report.clone();
        (figures.first_error, figures.flush_error) = (None, None);
        output.line(figures.to_string()).await?;
    }
    output.finish().await
}

fn value(report: &CopyReport) -> Value {
    let named = |key: &Key| json!({ "namespace": key.namespace.parts(), "digest": key.digest });
    json!({
        "complete": report.is_complete(),
        "durable": report.durable,
        "entries": report.entries,
        "copied": report.copied,
        "bytes": report.bytes,
        "skipped": report.skipped,
        "kept": report.kept,
        "damaged": report.damaged,
        "refused": report.refused,
        "failed": report.failed,
        "evicted": report.evicted,
        "missing": report.missing.iter().map(named).collect::<Vec<_>>(),
        "resume_after": report.resume_after.as_ref().map(Key::to_string),
        "error": report.first_error.as_ref().or(report.flush_error.as_ref()).map(cache::Error::to_line),
    })
}

/// A key as a report tells it.
fn key_of(text: &str) -> Result<Key, String> {
    let (namespace, digest) = text.rsplit_once('/').unwrap_or(("", text));
    let wrong = |error: cache::Error| error.detail().unwrap_or("not a key").to_owned();
    Ok(Key::new(namespace.parse().map_err(wrong)?, digest.parse().map_err(wrong)?))
}
