//! What removes entries: a budget that is exceeded, and `clean`. One at a time, in batches.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use cache_core::{CleanPolicy, CleanReport, EntryMeta, Error, ErrorKind, ListOptions, Namespace, Result};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use crate::{
    engine::Engine,
    failure::{Absence, Failure, absence},
    locks::Locked,
};

/// As many as S3 deletes in one request.
const BATCH: usize = 1000;

/// Whoever has this is the only one that removes entries by batches.
type Alone = Arc<tokio::sync::OwnedMutexGuard<()>>;

impl Engine {
    /// An entry was stored.
    pub(crate) fn stored(self: &Arc<Self>, bytes: u64) {
        self.unflushed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.budget.as_ref().is_some_and(|budget| budget.put(bytes)) {
            let engine = Arc::clone(self);
            self.gate.spawn(async move {
                // The next flush tries again and tells.
                _ = engine.keep_budget().await;
            });
        }
    }

    /// Lists what there is and evicts what is too much.
    pub(crate) async fn keep_budget(self: &Arc<Self>) -> Result<()> {
        let Some(budget) = &self.budget else { return Ok(()) };
        let alone = Arc::new(Arc::clone(&self.cleaning).lock_owned().await);
        if !budget.may_be_over() {
            return Ok(());
        }
        let watched = self.recent.watch();
        budget.begin();
        let entries = self.all(&Namespace::root()).await?;
        let held = entries.iter().map(EntryMeta::counted_bytes).fold(0, u64::saturating_add);
        let victims = budget.victims(entries, held);
        let mut evicted = 0_u64;
        let done = self.evict_all("flush", victims, &alone, |victim| {
            evicted = evicted.saturating_add(victim.counted_bytes());
        });
        done.await?;
        budget.know(held.saturating_sub(evicted));
        drop(watched);
        Ok(())
    }

    pub(crate) async fn clean(
        self: &Arc<Self>,
        scope: &Namespace,
        policy: &CleanPolicy,
        now: SystemTime,
    ) -> Result<CleanReport> {
        self.gate.check("clean")?;
        if !self.options.owned {
            return Err(Error::new(ErrorKind::Unsupported, "s3", "clean").with_detail(
                "others may use what is below the prefix: open the store as its owner, or have lifecycle rules of the \
                 bucket remove what is old",
            ));
        }
        let alone = Arc::new(Arc::clone(&self.cleaning).lock_owned().await);
        let _watched = self.recent.watch();
        let entries = self.all(scope).await?;
        let mut report = CleanReport::default();
        entries.iter().for_each(|entry| report.keep(entry.counted_bytes()));
        let victims = policy.victims(entries, now);
        self.evict_all("clean", victims, &alone, |victim| report.evict(victim.counted_bytes())).await?;
        self.abort_uploads(now).await?;
        Ok(report)
    }

    async fn all(self: &Arc<Self>, scope: &Namespace) -> Result<Vec<EntryMeta>> {
        let entries = self.list(ListOptions::below(scope));
        // Where they lie would take most of the memory.
        let slim = |mut entry: EntryMeta| {
            entry.places = Vec::new();
            entry
        };
        let mut entries: Vec<_> = entries.map_ok(slim).try_collect().await?;
        self.recent.tell_apart(&mut entries);
        Ok(entries)
    }

    /// Removes entries but those that were put since somebody watches, or are being put.
    async fn evict_all(
        self: &Arc<Self>,
        operation: &'static str,
        victims: Vec<EntryMeta>,
        alone: &Alone,
        mut gone: impl FnMut(&EntryMeta),
    ) -> Result<()> {
        let mut first = Ok(());
        for batch in victims.chunks(BATCH) {
            let mut locked: Vec<Locked> = Vec::new();
            let mut going = Vec::new();
            for victim in batch {
                let Some(lock) = self.locks.try_lock(&victim.key) else { continue };
                // Whoever has put it meanwhile has let go of it again.
                if !self.recent.has(&victim.key) {
                    locked.push(lock);
                    going.push(victim);
                }
            }
            let paths = going.iter().map(|victim| self.path(&victim.key)).collect::<Result<Vec<_>>>()?;
            let (engine, alone, going_paths) = (Arc::clone(self), Arc::clone(alone), paths.clone());
            let deleting = self.gate.run(operation, async move {
                let deleted = engine.delete_all(operation, going_paths).await;
                // The next one to clean takes no notice of keys that are locked.
                drop((locked, alone));
                Ok(deleted)
            });
            let (deleted, ended) = deleting.await?;
            for (victim, _) in going.iter().zip(&paths).filter(|(_, path)| deleted.contains(path)) {
                self.counters.eviction(victim.counted_bytes());
                gone(victim);
            }
            // One that may not go does not keep the others.
            first = first.and(ended);
            if deleted.is_empty() && first.is_err() {
                break;
            }
        }
        first
    }

    /// Deletes up to 1,000 objects in one request, where the service can do that. Answers which are gone, and the first
    /// failure.
    async fn delete_all(&self, operation: &'static str, paths: Vec<Path>) -> (HashSet<Path>, Result<()>) {
        let deleted = Mutex::new(HashSet::new());
        if paths.is_empty() {
            return (HashSet::new(), Ok(()));
        }
        let gone = |path| deleted.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        let ended = self.client.call(operation, 0, |handles| {
            let paths = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
            async move {
                let mut answers = handles.batches.delete_stream(paths);
                let mut first = Ok(());
                while let Some(answer) = answers.next().await {
                    match answer {
                        Ok(path) => _ = gone(path),
                        Err(error) => match (absence(&error), &error) {
                            // Somebody else was faster.
                            (Some(Absence::Object), object_store::Error::NotFound { path, .. }) => {
                                _ = Path::parse(path).map(gone);
                            }
                            _ => first = first.and(Err(Failure::from(error))),
                        },
                    }
                }
                first
            }
        });
        let ended = ended.await.map_err(|failure| failure.at(operation).into_error(None));
        (deleted.into_inner().unwrap_or_else(PoisonError::into_inner), ended)
    }

    /// Ends uploads that were begun long ago.
    async fn abort_uploads(&self, now: SystemTime) -> Result<()> {
        let Some(provider) = self.client.provider() else { return Ok(()) };
        let is_old =
            |begun: SystemTime| now.duration_since(begun).is_ok_and(|age| age > self.options.upload_age);
        let mut before = None;
        loop {
            let uploads = provider.uploads(self.layout.prefix()).await?;
            let whole = uploads.len();
            let old: Vec<_> = uploads
                .into_iter()
                .filter(|upload| is_old(upload.begun) && self.layout.key(&upload.object).is_some())
                .collect();
            let first = old.first().map(|upload| upload.id.clone());
            // Those that stay are not ended for ever.
            if first == before {
                return Ok(());
            }
            for upload in &old {
                provider.abort(upload).await?;
            }
            // The next ones come when these are gone.
            if whole < BATCH {
                return Ok(());
            }
            before = first;
        }
    }
}
