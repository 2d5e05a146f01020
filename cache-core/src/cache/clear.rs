//! Emptying a namespace.

use futures::{StreamExt, stream};

use crate::{Cache, ClearReport, EntryMeta, Error, Intent, ListOptions, Result, hook::within};

/// Entries that a clear knows of at a time.
const PAGE: usize = 1000;
/// Evictions that a clear has under way at a time.
const AT_ONCE: usize = 16;

impl Cache {
    /// Evicts every entry of this namespace and of all below it, also those without bytes. The counters
    /// stay, and count each. What is put meanwhile may stay or go, as a whole.
    ///
    /// An entry that cannot be evicted is passed over; the report tells of it.
    ///
    /// # Errors
    ///
    /// If the store cannot list anything. What fails later is told in the report.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves whole entries: some evicted, the others untouched.
    pub async fn clear(&self) -> Result<ClearReport> {
        let clear = async {
            let report = self.evict_all().await;
            self.flights().overtake(self.address());
            report
        };
        within(self.hooks(), || self.scope_operation("clear", Intent::Write), clear).await
    }

    async fn evict_all(&self) -> Result<ClearReport> {
        let mut report = ClearReport::default();
        let mut options = ListOptions::below(self.address()).with_limit(PAGE);
        loop {
            let (page, listed) = self.page(&options).await;
            let last = page.last().map(|entry| entry.key.clone());
            let evictions = stream::iter(page)
                .map(|entry| async move { (self.evict_key(&entry.key).await, entry.counted_bytes()) });
            let mut evictions = evictions.buffer_unordered(AT_ONCE);
            while let Some((evicted, bytes)) = evictions.next().await {
                match evicted {
                    Ok(()) => report.evict(bytes),
                    Err(error) => report.fail(error),
                }
            }
            // An entry that a listing ended at may be evicted all the same; the listing goes on behind it.
            let unread = listed.as_ref().err().and_then(Error::key).cloned();
            let unread =
                unread.filter(|key| options.admits(key) && last.as_ref().is_none_or(|last| last < key));
            options.start_after = match (listed, unread, last) {
                (Err(error), Some(unread), _) => {
                    match self.evict_key(&unread).await {
                        Ok(()) => report.evict(0),
                        Err(_) => report.fail(error),
                    }
                    Some(unread)
                }
                (Err(error), None, None) if options.start_after.is_none() => return Err(error),
                (Err(error), None, _) => {
                    report.end(error);
                    return Ok(report);
                }
                (Ok(()), _, None) => return Ok(report),
                (Ok(()), _, last) => last,
            };
        }
    }

    /// The entries of one listing, and whether it came to its end.
    async fn page(&self, options: &ListOptions) -> (Vec<EntryMeta>, Result<()>) {
        let mut found = Vec::new();
        let mut listing = self.store().list(options.clone());
        while let Some(entry) = listing.next().await {
            match entry {
                Ok(entry) => found.push(entry),
                Err(error) => return (found, Err(error)),
            }
        }
        (found, Ok(()))
    }
}

#[cfg(test)]
mod tests;
