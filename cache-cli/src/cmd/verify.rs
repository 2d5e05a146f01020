use cache::{VerifyOptions, VerifyReport};
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
    /// The store: URLs of tiers, fastest first. Without them --store and CACHE_STORE count.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// Leaves it at finding damage: nothing is written again from another tier.
    #[arg(long)]
    no_repair: bool,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("verify")?;
    let mut shared = shared.clone();
    shared.store = stores::chosen(&args.urls, &shared)?;
    with_cache(&shared, async |cache| {
        let bar = progress::store();
        let mut options = VerifyOptions::default().with_repair(!args.no_repair);
        if !bar.is_hidden() {
            let bar = bar.clone();
            options = options.with_progress(move |at| {
                bar.set_length(at.of_bytes);
                bar.set_position(at.bytes);
                bar.set_message(at.tier.as_deref().unwrap_or("verifying").to_owned());
            });
        }
        let report = cache.verify(&options).await;
        bar.finish_and_clear();
        let report = report?;
        // Done means that a power cut cannot undo it. What was found is told all the same.
        let flushed = if report.damaged > 0 { cache.flush().await.map(|_| ()) } else { Ok(()) };
        match tell(&report, shared.json).await {
            // Whoever does not read on still gets the verdict.
            Ok(()) | Err(Failure::ClosedPipe) => {}
            Err(failure) => return Err(failure),
        }
        if let Some(error) = &report.first_error {
            return Err(Failure::because(error.to_line()));
        }
        flushed?;
        Ok(if report.is_sound() { Outcome::Done } else { Outcome::Damaged })
    })
    .await
}

async fn tell(report: &VerifyReport, json: bool) -> Result<(), Failure> {
    let mut output = Output::stdout();
    if json {
        output.json(&value(report)).await?;
    } else {
        for key in &report.lost {
            let line = format!("lost {}  {}", key.digest, key.namespace);
            output.line(line.trim_end()).await?;
        }
        for (tier, report) in &report.tiers {
            output.line(format!("{tier}: {}", summary(report))).await?;
        }
        output.line(summary(report)).await?;
    }
    output.finish().await
}

/// The report without its first error, which is told apart.
fn summary(report: &VerifyReport) -> String {
    let mut figures = report.clone();
    figures.first_error = None;
    figures.to_string()
}

fn value(report: &VerifyReport) -> Value {
    let lost: Vec<Value> = report
        .lost
        .iter()
        .map(|key| json!({ "namespace": key.namespace.parts(), "digest": key.digest }))
        .collect();
    let tiers: Vec<Value> = report
        .tiers
        .iter()
        .map(|(name, report)| {
            let mut tier = value(report);
            if let Value::Object(fields) = &mut tier {
                fields.insert("name".into(), json!(name));
            }
            tier
        })
        .collect();
    json!({
        "sound": report.is_sound(),
        "entries": report.entries,
        "bytes": report.bytes,
        "damaged": report.damaged,
        "repaired": report.repaired,
        "unreadable": report.unreadable,
        "lost": lost,
        "error": report.first_error.as_ref().map(cache::Error::to_line),
        "tiers": tiers,
    })
}
