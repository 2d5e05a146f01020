//! Writing what waits: in the background as soon as there is something, and at once for a flush.

use std::{
    collections::HashSet,
    future::pending,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Weak},
};

use cache_core::{Error, ErrorKind, Key, PutOptions, Result};
use futures::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream,
    stream::FuturesUnordered,
};
use tokio::runtime::Handle;

use super::{
    Loss, Shared,
    word::{What, Word},
};
use crate::{layered::to_its_end, tally::is_sickness};

/// Keys that are written at a time.
const AT_ONCE: usize = 4;

/// Whether the same write may succeed later.
fn may_pass(error: &Error) -> bool {
    is_sickness(error) || matches!(error.kind(), ErrorKind::Locked | ErrorKind::Closed)
}

/// What became of a word.
enum Written {
    Yes,
    /// It waits again.
    No(Error),
    /// It is given up for a newer one, which waits.
    Superseded(Error),
}

impl Shared {
    /// Has a task write what waits, unless one does. Nobody owns it but this store: who drops the last handle loses
    /// what waits, as a put is no promise before a flush.
    pub(super) fn drain(self: &Arc<Self>) {
        let mut queue = self.queue();
        self.wake.notify_one();
        if queue.draining || queue.closed || queue.oldest(|_| false).is_none() {
            return;
        }
        if let Ok(handle) = Handle::try_current() {
            queue.draining = true;
            drop(queue);
            let draining = Draining { shared: Arc::clone(self), ended: false };
            self.tasks.spawn_on(draining.run(Weak::clone(&self.alive)), &handle);
        }
    }

    /// Writes the word of a key in the key's turn.
    pub(super) async fn write_in_turn(self: Arc<Self>, key: Key) -> Result<()> {
        let _turn = self.locks.write(&key).await;
        self.write_word(&key).await
    }

    /// Writes the word of a key, if one waits. The key's turn is taken.
    pub(super) async fn write_word(self: &Arc<Self>, key: &Key) -> Result<()> {
        match self.write_newest(key).await {
            Some(Written::Superseded(error)) => match self.write_newest(key).await {
                // The word that was accepted first is not covered by any that is written.
                Some(Written::Superseded(_)) => Err(error),
                Some(Written::No(error)) => Err(error),
                Some(Written::Yes) | None => Ok(()),
            },
            Some(Written::No(error)) => Err(error),
            Some(Written::Yes) | None => Ok(()),
        }
    }

    async fn write_newest(self: &Arc<Self>, key: &Key) -> Option<Written> {
        let mut word = self.queue().begin(key)?;
        let writing = Writing { shared: self, key };
        loop {
            let answer = AssertUnwindSafe(self.write(key, &word)).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_| {
                let error = self.error(ErrorKind::Internal, "put").with_key(key);
                Err(error.with_detail("the store panicked"))
            });
            let error = match answer {
                Ok(()) => {
                    self.queue().found_well();
                    writing.end();
                    return Some(Written::Yes);
                }
                Err(error) => error,
            };
            if matches!(word.what, What::Evict) || may_pass(&error) {
                self.queue().found_sick();
                drop(writing);
                return Some(Written::No(error));
            }
            if !self.queue().lose(key, &error) {
                writing.end();
                return Some(Written::Superseded(error));
            }
            self.tally.dropped();
            word.what = What::Evict;
            self.freed.notify_waiters();
        }
    }

    async fn write(&self, key: &Key, word: &Word) -> Result<()> {
        let What::Put(held) = &word.what else { return self.inner.evict(key).await };
        let options = PutOptions::default().with_created(held.created);
        let outcome = self.inner.put(key, held.entry(), options).await?;
        if !outcome.is_stored() {
            // It is lost by the tier's own limits, as if it had been evicted at once: no flush fails for that.
            self.tally.dropped();
        }
        Ok(())
    }

    /// Writes everything that was accepted so far, once each: the first failure. What comes meanwhile is not waited
    /// for.
    pub(super) async fn write_down(self: &Arc<Self>) -> Result<()> {
        let keys = self.queue().keys();
        let writes = keys.into_iter().map(|key| {
            let shared = Arc::clone(self);
            async move { to_its_end(&shared.tasks, "flush", Arc::clone(&shared).write_in_turn(key)).await }
        });
        let mut written = stream::iter(writes).buffer_unordered(AT_ONCE);
        let mut all = Ok(());
        while let Some(one) = written.next().await {
            all = all.and(one);
        }
        all
    }

    /// Puts that were given up and not told of yet, as an error, and what to forget them by.
    pub(super) fn untold(&self) -> Option<Loss> {
        let lost = self.queue().lost()?;
        let puts = if lost.puts == 1 { "put" } else { "puts" };
        let detail = format!("{} {puts} could not be written to this tier and are lost", lost.puts);
        let error = self.error(lost.newest.kind(), "flush").with_detail(detail).with_source(lost.newest);
        Some(Loss { error, up_to: lost.up_to })
    }
}

/// The word of a key, while it is being written.
struct Writing<'a> {
    shared: &'a Arc<Shared>,
    key: &'a Key,
}

impl Writing<'_> {
    fn end(self) {
        self.shared.queue().wrote(self.key);
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // Unless it was written, which has taken it.
        self.shared.queue().put_back(self.key);
        self.shared.freed.notify_waiters();
        self.shared.drain();
    }
}

/// The task that writes what waits, while something does.
struct Draining {
    shared: Arc<Shared>,
    ended: bool,
}

impl Draining {
    async fn run(mut self, alive: Weak<()>) {
        let shared = Arc::clone(&self.shared);
        let mut busy = HashSet::new();
        let mut writes = FuturesUnordered::new();
        loop {
            let until = {
                let mut queue = shared.queue();
                let is_over = queue.closed || alive.strong_count() == 0;
                let until = queue.pauses_until().filter(|_| !is_over);
                while !is_over && until.is_none() && writes.len() < AT_ONCE {
                    let Some(key) = queue.oldest(|key| busy.contains(key)) else { break };
                    busy.insert(key.clone());
                    let write = Arc::clone(&shared).write_in_turn(key.clone());
                    writes.push(async move { (write.await, key).1 });
                }
                if writes.is_empty() && (is_over || queue.oldest(|_| false).is_none()) {
                    queue.draining = false;
                    self.ended = true;
                    return;
                }
                until
            };
            let pause = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => pending().await,
                }
            };
            let written = async {
                match writes.next().await {
                    Some(key) => key,
                    None => pending().await,
                }
            };
            let (woken, pause) = (pin!(shared.wake.notified()), pin!(pause));
            if let Either::Left((key, _)) = select(pin!(written), select(woken, pause)).await {
                busy.remove(&key);
            }
        }
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        // Its runtime has ended: the next who comes begins anew.
        if !self.ended {
            self.shared.queue().draining = false;
        }
    }
}
