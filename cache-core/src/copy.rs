//! Copies from one store to another, which can be interrupted and gone on with.

mod entry;
mod progress;
mod report;
mod watch;

use std::{fmt, sync::Arc};

use futures::StreamExt;

use self::{
    entry::{Copied, Copier},
    progress::Progress,
};
pub use self::{progress::CopyProgress, report::CopyReport};
use crate::{Error, ErrorKind, Key, ListOptions, Metrics, Namespace, Result, Store};

type Tell = Arc<dyn Fn(&CopyProgress) + Send + Sync>;

/// How to [copy](crate::StoreExt::copy_to) from one store to another.
#[derive(Clone)]
#[non_exhaustive]
pub struct CopyOptions {
    /// The namespace of the target that takes what the scope holds, and below it what lies below the scope; the same
    /// one by default.
    pub into: Option<Namespace>,
    /// What becomes of an entry that the target has in another version.
    pub overwrite: Overwrite,
    /// Whether each entry is read back and compared with what was read at the source, and whether one that the target
    /// has already is compared byte by byte. On by default.
    pub verify: bool,
    /// Only keys of the source after this one: where an earlier copy [says](CopyReport::resume_after) that it came to.
    pub start_after: Option<Key>,
    /// So many entries are copied at a time, at least one; 4 by default.
    pub at_once: usize,
    /// Whether the target is flushed at the end. On by default.
    pub flush: bool,
    /// So many of the entries that were not copied are named in the report; all are counted. 100 by default.
    pub max_keys: usize,
    progress: Option<Tell>,
}

/// What becomes of an entry that the target has in another version: other blobs, sizes, bytes or another time of
/// modification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overwrite {
    /// The one that was modified later stays. Where the times are the same, or one is not known, the source's does.
    #[default]
    Older,
    /// The source's replaces it.
    Always,
    /// The target's stays.
    Never,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            into: None,
            overwrite: Overwrite::default(),
            verify: true,
            start_after: None,
            at_once: 4,
            flush: true,
            max_keys: 100,
            progress: None,
        }
    }
}

impl CopyOptions {
    /// Sets the namespace of the target.
    #[must_use]
    pub fn with_into(mut self, namespace: Namespace) -> Self {
        self.into = Some(namespace);
        self
    }

    /// Sets what becomes of entries that the target has in another version.
    #[must_use]
    pub fn with_overwrite(mut self, overwrite: Overwrite) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Sets whether what was written is read back and compared.
    #[must_use]
    pub fn with_verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Copies only keys after this one.
    #[must_use]
    pub fn with_start_after(mut self, key: Key) -> Self {
        self.start_after = Some(key);
        self
    }

    /// Sets how many entries are copied at a time.
    #[must_use]
    pub fn with_at_once(mut self, entries: usize) -> Self {
        self.at_once = entries;
        self
    }

    /// Sets whether the target is flushed at the end.
    #[must_use]
    pub fn with_flush(mut self, flush: bool) -> Self {
        self.flush = flush;
        self
    }

    /// Sets how many entries that were not copied the report names.
    #[must_use]
    pub fn with_max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Has `tell` called now and then, up to once for each entry and each piece of a large blob: it must not
    /// block. Costs a count of what the source holds; if that fails the count is 0.
    #[must_use]
    pub fn with_progress(mut self, tell: impl Fn(&CopyProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }
}

impl fmt::Debug for CopyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOptions")
            .field("into", &self.into)
            .field("overwrite", &self.overwrite)
            .field("verify", &self.verify)
            .field("start_after", &self.start_after)
            .field("at_once", &self.at_once)
            .field("flush", &self.flush)
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

/// [`StoreExt::copy_to`](crate::StoreExt::copy_to).
pub(crate) async fn copy<S: Store + ?Sized>(
    from: &S,
    to: &dyn Store,
    scope: &Namespace,
    options: &CopyOptions,
) -> Result<CopyReport> {
    let into = options.into.as_ref().unwrap_or(scope);
    check(from, to, scope, into, options).map_err(|error| error.at(to.info().kind, "copy"))?;
    let evicted_before = evictions(&to.metrics());
    let progress = Arc::new(Progress::begin(from, scope, options).await);
    let copier = Copier { from, to, scope, into, options, progress: &progress };
    let mut report = CopyReport::default();
    let mut listed = ListOptions::below(scope);
    listed.start_after.clone_from(&options.start_after);
    // In the order of the keys, so that it can be said how far everything is done.
    let mut copies =
        from.list(listed).map(|listed| copier.copy_listed(listed)).buffered(options.at_once).boxed();
    while let Some(copied) = copies.next().await {
        match copied {
            Ok((_, Copied::Failed(error))) if error.kind() == ErrorKind::Closed => return Err(error),
            Ok((key, copied)) => {
                report.count(key, copied, options.max_keys);
                progress.entry(&report);
            }
            Err(unlisted) if report.entries == 0 => return Err(unlisted),
            Err(unlisted) => {
                report.end(unlisted);
                break;
            }
        }
    }
    drop(copies);
    if options.flush {
        // Also if nothing was copied: what an earlier copy wrote and could not flush was skipped.
        match to.flush().await {
            Ok(flushed) => report.durable = flushed.durable,
            Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
            Err(error) => {
                // What was written may be lost again.
                report.resume_after = options.start_after.clone();
                report.flush_error = Some(error);
            }
        }
    }
    report.evicted = evictions(&to.metrics()).saturating_sub(evicted_before);
    Ok(report)
}

fn check<S: Store + ?Sized>(
    from: &S,
    to: &dyn Store,
    scope: &Namespace,
    into: &Namespace,
    options: &CopyOptions,
) -> Result<()> {
    if options.at_once == 0 {
        return Err(Error::invalid("at least one entry is copied at a time"));
    }
    let (source, target) = (from.info(), to.info());
    let is_same_place = std::ptr::addr_eq(std::ptr::from_ref(from), std::ptr::from_ref(to))
        || (!source.location.is_empty() && (source.kind, source.location) == (target.kind, target.location));
    // What is copied would be found by the listing, and copied again.
    if is_same_place && (scope.covers(into) || into.covers(scope)) {
        return Err(Error::invalid("the source and the target are the same store"));
    }
    Ok(())
}

/// Of a stack those of the tier that keeps the most.
fn evictions(metrics: &Metrics) -> u64 {
    metrics.tiers.last().map_or(metrics.evictions, |(_, slowest)| evictions(slowest))
}

#[cfg(test)]
mod tests;
