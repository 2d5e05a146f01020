//! One pass through all logs: corrects what they sum up to, compacts them, and finds who goes next.

use cache_core::Result;

use crate::{
    disk::Inner,
    index::{Findings, Look, Replay, Tree, review},
    queue::{Oldest, Queue},
};

/// The victims of one pass: a sixteenth of the entries, so that a pass costs each of them as much as
/// sixteen records, and never more than some megabytes.
const SHARE: u64 = 16;
const FEWEST: u64 = 1 << 10;
const MOST: u64 = 1 << 16;
/// The bytes of a record with a short namespace.
const RECORD: u64 = 72;

/// Goes through all shards; those that nobody wrote to are passed over, unless the index is suspect. Then
/// each is compared with its directories. What cannot be read is passed over; the first failure is part of the answer.
pub(crate) fn pass(
    inner: &Inner,
    max: u64,
    operation: &'static str,
    stop: &dyn Fn() -> bool,
) -> Result<(Queue, Result<()>)> {
    let (index, root) = (&inner.index, &inner.root);
    let totals = index.totals(root, operation)?;
    let tree = totals.suspect.then(|| Tree::read(root, operation, stop));
    let mut outcome = Ok(());
    let room = (totals.logs / RECORD / SHARE).clamp(FEWEST, MOST);
    let mut oldest = Oldest::new(max, usize::try_from(room).unwrap_or(usize::MAX));
    for shard in 0..=u8::MAX {
        if stop() {
            return Ok((Queue::default(), outcome));
        }
        if tree.is_none() && index.is_unused(shard) {
            continue;
        }
        let compared = std::cell::Cell::new(Ok(()));
        let compare = |log: &Replay| -> Result<Findings> {
            let Some(tree) = &tree else { return Ok(Findings::default()) };
            let (findings, outcome) = tree.compare(root, shard, log);
            compared.set(outcome);
            Ok(findings)
        };
        let look = tree.is_some().then_some(&compare as Look<'_>);
        let (log, written) = match review(index, root, &inner.session(), shard, operation, look) {
            Ok(reviewed) => reviewed,
            Err(error) => {
                outcome = outcome.and(Err(error));
                continue;
            }
        };
        outcome = outcome.and(compared.into_inner()).and(written);
        for (namespace, digest, held) in log.entries() {
            oldest.see(namespace, digest, held);
        }
        index.beat(u64::from(shard));
    }
    if let Some(tree) = tree {
        outcome = outcome.and(tree.outcome);
        if outcome.is_ok() {
            index.healed(totals.asked).map_err(|error| root.failed(operation, "", error))?;
        }
    }
    Ok((oldest.into_queue(), outcome))
}
