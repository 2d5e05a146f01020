//! A flush of all tiers, and how it fails.

use std::sync::Arc;

use cache_core::{Error, FlushReport, Result};
use futures::future::join_all;

use crate::{behind::Loss, tier::Tier};

/// Flushes every tier, also after one failed. The first failure is the answer; it says which tiers are durable. If it
/// is a loss, it tells of those in all tiers, and they need not be told again: nothing may be waited for after this.
pub(crate) async fn flush_all(tiers: &[Tier], kept: usize) -> Result<FlushReport> {
    let flushes = join_all(tiers.iter().map(Tier::flush)).await;
    let (mut reports, mut losses) = (Vec::new(), Vec::new());
    let mut failure = None;
    for (tier, report) in tiers.iter().zip(flushes) {
        match report {
            Ok(Ok(report)) => reports.push((Arc::clone(&tier.name), report)),
            Ok(Err(loss)) => losses.push((tier, loss)),
            Err(error) => _ = failure.get_or_insert_with(|| tier.failed("flush", error)),
        }
    }
    // Who is told of another failure flushes again, and is told of losses then.
    let Some(failure) = failure.or_else(|| told(losses)) else {
        // What nobody reads does not make durable what is read.
        let durable = reports.iter().take(kept).any(|(_, report)| report.durable);
        let mut report = FlushReport::of_tiers(reports);
        report.durable = durable;
        return Ok(report);
    };
    let durable: Vec<&str> =
        reports.iter().filter(|(_, report)| report.durable).map(|(name, _)| &**name).collect();
    if durable.is_empty() {
        return Err(failure);
    }
    Err(adding(failure, &format!("durable all the same: {}", durable.join(", "))))
}

/// Losses in tiers as one error, if there are any.
fn told(losses: Vec<(&Tier, Loss)>) -> Option<Error> {
    let mut answer: Option<Error> = None;
    for (tier, loss) in losses {
        tier.told(loss.up_to);
        answer = Some(match answer {
            None => tier.failed("flush", loss.error),
            Some(first) => {
                let lost = loss.error.detail().unwrap_or_default();
                adding(first, &format!("tier {:?}: {lost}", tier.name))
            }
        });
    }
    answer
}

/// The error, which says this besides.
pub(crate) fn adding(error: Error, detail: &str) -> Error {
    let detail = match error.detail() {
        Some(before) => format!("{before}; {detail}"),
        None => detail.to_owned(),
    };
    error.with_detail(detail)
}
