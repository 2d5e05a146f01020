//! Evictions by policy, from a walk through the directories: exact whatever the index says.

use cache_core::{CleanPolicy, CleanReport, Namespace, Result};

use crate::{
    disk::Inner,
    remove::Removed,
    victims::{chosen, evict, scan},
};

/// Removes what a policy does not keep. The callers see to it that nothing else evicts.
pub(crate) fn clean(inner: &Inner, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
    let (entries, scanned) = scan(inner, scope, "clean");
    let mut report = CleanReport::default();
    for entry in &entries {
        report.keep(entry.bytes());
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
            Removed::Other | Removed::Used(_) | Removed::Busy => {}
        },
    );
    scanned.and(evicted).map(|()| report)
}
