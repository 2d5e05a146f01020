//! Evictions by policy. The callers see to it that one runs at a time.

use cache_core::{CleanPolicy, CleanReport, Namespace, Result};

use crate::{
    budget::low_watermark,
    disk::Inner,
    remove::Removed,
    victims::{chosen, evict, scan},
};

/// How often a scan is repeated because entries were used while it ran.
const SCANS: usize = 3;

/// Brings the store within its budget if it may be over, or if it is `suspect`: down to the low
/// watermark, but never takes the entry that was used last for that. Entries that fit nowhere go first.
pub(crate) fn enforce(inner: &Inner, operation: &'static str, suspect: bool) -> Result<()> {
    let Some(max) = inner.options.max_bytes else { return Ok(()) };
    if !suspect && !inner.budget.is_over(max) {
        return Ok(());
    }
    let mut outcome = Ok(());
    for _ in 0..SCANS {
        let begun = inner.budget.begin_scan();
        let (mut entries, scanned) = scan(inner, &Namespace::root(), operation);
        outcome = scanned;
        let found = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes()));
        inner.budget.correct(found, &begun);
        if found <= max {
            return outcome;
        }
        entries.sort_by(|a, b| {
            let order = |entry: &crate::victims::Candidate| (entry.bytes() <= max, entry.meta.recency());
            (order(a), &a.meta.key).cmp(&(order(b), &b.meta.key))
        });
        let newest = entries.last().map(|entry| entry.meta.key.clone());
        let held = std::cell::Cell::new(found);
        let wanted = |entry: &crate::victims::Candidate| {
            let spared = held.get() <= max && Some(&entry.meta.key) == newest.as_ref();
            held.get() > low_watermark(max) && !spared
        };
        let mut used = false;
        let evicted = evict(inner, entries, operation, wanted, |entry, removed| match removed {
            Removed::Entry(_) | Removed::Nothing => held.set(held.get().saturating_sub(entry.bytes())),
            Removed::Other | Removed::Busy => used = true,
        });
        outcome = outcome.and(evicted);
        if held.get() <= max || !used {
            break;
        }
    }
    outcome
}

pub(crate) fn clean(inner: &Inner, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
    let begun = inner.budget.begin_scan();
    let (entries, scanned) = scan(inner, scope, "clean");
    let mut report = CleanReport::default();
    for entry in &entries {
        report.keep(entry.bytes());
    }
    if scope.is_root() && scanned.is_ok() {
        inner.budget.correct(report.kept_bytes, &begun);
    }
    let victims = chosen(inner, policy, &entries);
    drop(entries);
    let evicted = evict(
        inner,
        victims,
        "clean",
        |_| true,
        |entry, removed| match removed {
            Removed::Entry(_) => report.evict(entry.bytes()),
            Removed::Nothing => {
                report.kept_entries = report.kept_entries.saturating_sub(1);
                report.kept_bytes = report.kept_bytes.saturating_sub(entry.bytes());
            }
            Removed::Other | Removed::Busy => {}
        },
    );
    scanned.and(evicted).map(|()| report)
}
