//! The end of tiers: as long as it may take, and told also if one of them fails.

use std::{sync::Arc, time::Duration};

use cache_core::{CloseReport, Error, ErrorKind, Result, Store};
use futures::future::join_all;

use crate::{flush::adding, layered::within, tier::Tier};

/// What a store may take longer than it was told to.
const GRACE: Duration = Duration::from_secs(1);

/// Closes a store that may not keep to its deadline: it has all of it, and is waited for little longer.
pub(crate) async fn close_in_time(store: &dyn Store, deadline: Option<Duration>) -> Result<CloseReport> {
    let patience = deadline.map(|deadline| deadline.saturating_add(GRACE));
    within(patience, store.close(deadline)).await.unwrap_or_else(|| {
        let detail = format!("it goes on after its deadline of {:?}", deadline.unwrap_or_default());
        Err(Error::new(ErrorKind::Timeout, store.info().kind, "close").with_detail(detail))
    })
}

/// Closes every tier, also after one failed. The first failure is the answer; it says what is left elsewhere, and
/// which others failed.
pub(crate) async fn close_all(tiers: &[Tier], deadline: Option<Duration>) -> Result<CloseReport> {
    let closes = join_all(tiers.iter().map(|tier| tier.close(deadline))).await;
    let mut reports = Vec::new();
    let mut failures = Vec::new();
    for (tier, report) in tiers.iter().zip(closes) {
        match report {
            Ok(report) => reports.push((Arc::clone(&tier.name), report)),
            Err(error) => failures.push(tier.failed("close", error)),
        }
    }
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(CloseReport::of_tiers(reports)) };
    let left = reports.iter().filter(|(_, report)| report.left > 0);
    let told = left.map(|(name, report)| format!("tier {name:?} left {}", report.left));
    let told: Vec<String> = told.chain(failures.map(|error| error.to_line())).collect();
    if told.is_empty() { Err(first) } else { Err(adding(first, &told.join("; "))) }
}
