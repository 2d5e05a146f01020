//! Removal by policy: of what is too old, and then of what was used least recently.

use std::{ops::Bound, sync::Arc, time::SystemTime};

use cache_core::{CleanPolicy, CleanReport, ListOptions, Namespace, Result};

use crate::{
    contain::Fault,
    engine::Engine,
    list::scan,
    queue::{Only, Op},
    rows::{EntryRow, RECENCY, entry_of},
    snapshot::Snapshot,
};

/// Rows that are looked at in one hop to a blocking thread.
const PAGE: usize = 1_024;
/// Entries that go in one transaction.
const VICTIMS: usize = 64;

/// The row of an entry that may go, if nobody uses it meanwhile.
struct Candidate {
    row_key: Vec<u8>,
    stamp: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Cleans a scope. Of what it looks at it keeps a page in memory.
pub(crate) async fn clean(
    engine: &Arc<Engine>,
    scope: &Namespace,
    policy: &CleanPolicy,
) -> Result<CleanReport> {
    // So that the rows tell of all reads so far.
    engine.ask("clean", |reply| Op::Drain { reply: Some(reply) }).await?;
    let last = engine.last_stamp();
    let mut report = CleanReport::default();
    drop_outdated(engine, scope, policy, &mut report).await?;
    if let Some(max) = policy.max_bytes {
        drop_least_recent(engine, scope, max, last, &mut report).await?;
    }
    if scope.is_root() {
        engine.ask("clean", |reply| Op::Compact { reply }).await?;
    }
    Ok(report)
}

/// Removes what is too old, and counts the rest.
async fn drop_outdated(
    engine: &Arc<Engine>,
    scope: &Namespace,
    policy: &CleanPolicy,
    report: &mut CleanReport,
) -> Result<()> {
    let now = engine.clock.now();
    let is_outdated = |candidate: &Candidate| match (policy.max_age, candidate.modified) {
        (Some(max), Some(modified)) => now.duration_since(modified).is_ok_and(|age| age > max),
        _ => false,
    };
    let mut options = ListOptions::below(scope);
    loop {
        let asked = options.clone();
        let (found, damaged) =
            engine.read_blocking("clean", move |snapshot| candidates(snapshot, &asked)).await?;
        for key in damaged {
            engine.ask("clean", |reply| Op::Remove { key, only: Only::Unreadable, reply }).await?;
        }
        let Some(last) = found.last() else { return Ok(()) };
        options.start_after = entry_of(&last.row_key);
        if options.start_after.is_none() {
            return Ok(());
        }
        let (outdated, kept): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|candidate| is_outdated(candidate));
        kept.iter().for_each(|candidate| report.keep(candidate.bytes));
        outdated.iter().for_each(|candidate| report.keep(candidate.bytes));
        evict(engine, outdated, report).await?;
    }
}

/// Removes what was used least recently until the rest is no more than `max`.
async fn drop_least_recent(
    engine: &Arc<Engine>,
    scope: &Namespace,
    max: u64,
    last: u64,
    report: &mut CleanReport,
) -> Result<()> {
    let mut from = Bound::Unbounded;
    while report.kept_bytes > max {
        let (of, excess) = (scope.clone(), report.kept_bytes - max);
        let look =
            move |snapshot: &Snapshot| least_recent(snapshot, &of, (from, Bound::Included(last)), excess);
        let (found, seen) = engine.read_blocking("clean", look).await?;
        evict(engine, found, report).await?;
        match seen {
            Some(seen) => from = Bound::Excluded(seen),
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn evict(engine: &Arc<Engine>, victims: Vec<Candidate>, report: &mut CleanReport) -> Result<()> {
    let mut victims = victims.into_iter();
    loop {
        let some: Vec<_> =
            victims.by_ref().take(VICTIMS).map(|victim| (victim.row_key, victim.stamp)).collect();
        if some.is_empty() {
            return Ok(());
        }
        let evicted = engine.ask("clean", |reply| Op::Evict { victims: some, reply }).await?;
        for bytes in evicted {
            report.evict(bytes);
            engine.counters.eviction(bytes);
        }
    }
}

fn candidates(
    snapshot: &Snapshot,
    options: &ListOptions,
) -> Result<(Vec<Candidate>, Vec<cache_core::Key>), Fault> {
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    scan(snapshot, options, |key, row_key, row| {
        match EntryRow::decode(row_key, row) {
            Some(row) => found.push(candidate(row_key, &row)),
            None => damaged.push(key),
        }
        Ok(found.len() < PAGE)
    })?;
    Ok((found, damaged))
}

fn candidate(row_key: &[u8], row: &EntryRow) -> Candidate {
    let modified = row.blobs.iter().map(|blob| blob.created).max();
    Candidate { row_key: row_key.to_vec(), stamp: row.last.stamp, bytes: row.bytes(), modified }
}

/// What goes first of a scope, up to so many bytes, and the stamp up to which was looked, if there may be more.
fn least_recent(
    snapshot: &Snapshot,
    scope: &Namespace,
    stamps: (Bound<u64>, Bound<u64>),
    excess: u64,
) -> Result<(Vec<Candidate>, Option<u64>), Fault> {
    let (mut found, mut bytes, mut looked) = (Vec::new(), 0_u64, 0);
    for row in snapshot.tx.open_table(RECENCY)?.range(stamps)? {
        let (stamp, row_key) = row?;
        let row_key = row_key.value();
        looked += 1;
        if entry_of(row_key).is_some_and(|key| scope.covers(&key.namespace))
            && let Some(row) = snapshot.entries.get(row_key)?
            && let Some(row) = EntryRow::decode(row_key, row.value())
            && row.last.stamp == stamp.value()
        {
            bytes = bytes.saturating_add(row.bytes());
            found.push(candidate(row_key, &row));
        }
        if bytes >= excess || looked >= PAGE {
            return Ok((found, Some(stamp.value())));
        }
    }
    Ok((found, None))
}
