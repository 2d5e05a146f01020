//! Evictions by policy, one at a time.

use cache_core::{CleanPolicy, CleanReport, EntryMeta, ListOptions, Namespace, Result};

use crate::{budget::low_watermark, disk::Inner, publish, scan::Scan};

fn scan(inner: &Inner, scope: &Namespace) -> Result<Vec<EntryMeta>> {
    let mut scan = Scan::new(ListOptions::below(scope));
    let mut entries = Vec::new();
    while let Some(entry) = scan.next(&inner.root)? {
        entries.push(entry);
    }
    Ok(entries)
}

fn evict(inner: &Inner, victim: &EntryMeta, operation: &'static str) -> Result<()> {
    publish::remove(inner, &victim.key, None, operation)?;
    inner.pending.forget(&victim.key);
    inner.budget.subtract(victim.counted_bytes());
    inner.counters.eviction(victim.counted_bytes());
    Ok(())
}

/// Brings the store within its budget if it may be over: down to the low watermark, but never takes
/// the entry that was used last for that.
pub(crate) fn enforce(inner: &Inner, operation: &'static str) -> Result<()> {
    let Some(max) = inner.options.max_bytes else { return Ok(()) };
    let _one_at_a_time = inner.budget.evicting();
    if !inner.budget.is_over(max) {
        return Ok(());
    }
    let mut entries = scan(inner, &Namespace::root())?;
    let mut held: u64 = entries.iter().map(EntryMeta::counted_bytes).sum();
    inner.budget.correct(held);
    if held <= max {
        return Ok(());
    }
    entries.sort_by(|a, b| (a.recency(), &a.key).cmp(&(b.recency(), &b.key)));
    let last = entries.len().saturating_sub(1);
    for (at, victim) in entries.iter().enumerate() {
        if held <= low_watermark(max) || (held <= max && at == last) {
            break;
        }
        evict(inner, victim, operation)?;
        held -= victim.counted_bytes();
    }
    Ok(())
}

pub(crate) fn clean(inner: &Inner, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
    let _one_at_a_time = inner.budget.evicting();
    let entries = scan(inner, scope)?;
    let mut report = CleanReport::default();
    for entry in &entries {
        report.keep(entry.counted_bytes());
    }
    if scope.is_root() {
        inner.budget.correct(report.kept_bytes);
    }
    for victim in policy.victims(entries, inner.clock.now()) {
        evict(inner, &victim, "clean")?;
        report.evict(victim.counted_bytes());
    }
    Ok(report)
}
