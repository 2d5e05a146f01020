use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

use crate::{
    Ambiguity, Cache, Call, Clock, Digest, DigestPrefix, Error, Intent, Key, KeyRef, ListOptions, PutOptions,
    Result, SystemClock,
    cache::coded::absent,
    call::{
        function::{component_of, is_function},
        read::Reading,
        record,
    },
    hook::within,
};

/// The recorded calls of functions, each under its [lookup key](Call::lookup_key).
///
/// The calls of one function lie in one namespace below that of the cache, named after the function:
/// give the store a namespace of its own. An entry has the record as its blob `data` and the value of the
/// result, where it is kept, as its blob `result`; they are written and evicted together. A record that
/// cannot be read, for damage or because another version wrote it, is a miss unless
/// [`report_unreadable`](Self::report_unreadable) asks for the error.
///
/// ```
/// # async fn run(cache: cache_core::Cache) -> cache_core::Result<()> {
/// use cache_core::{Call, CallStore, CallTemplate};
///
/// let calls = CallStore::new(cache.namespace("calls")?);
/// let sum = calls.memoize("sum", &(1, 2), || async { Ok::<i32, std::io::Error>(1 + 2) }).await?;
/// assert_eq!(sum, 3);
/// let recorded = calls.query(&CallTemplate::default().with_name("sum")).only().await?;
/// assert_eq!(recorded.result.map(|result| result.read()).transpose()?, Some(Some(3)));
/// let digest = calls.save(&Call::new("sum").with_argument("a", &7)?).await?;
/// assert!(calls.contains(digest.prefix(8)).await?);
/// # Ok(())
/// # }
/// # let _ = run;
/// ```
#[derive(Clone, Debug)]
pub struct CallStore {
    cache: Cache,
    clock: Arc<dyn Clock>,
    report_unreadable: bool,
}

impl CallStore {
    /// The calls in the namespaces below that which `cache` looks in.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self { cache, clock: Arc::new(SystemClock), report_unreadable: false }
    }

    /// Sets where the time comes from that calls are recorded with.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Answers a record that cannot be read as an error ([`Codec`](crate::ErrorKind::Codec) or
    /// [`Corrupt`](crate::ErrorKind::Corrupt)) instead of a miss.
    #[must_use]
    pub fn report_unreadable(mut self) -> Self {
        self.report_unreadable = true;
        self
    }

    /// The cache below.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Records `call` in place of an older record with the same [lookup key](Call::lookup_key), which is
    /// the answer, also if the store refuses the record by policy.
    ///
    /// # Errors
    ///
    /// As [`Call::lookup_key`] and [`Cache::put`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the old record or the new one.
    pub async fn save(&self, call: &Call) -> Result<Digest> {
        let digest = call.lookup_key()?;
        let view = self.function(&call.name)?;
        let mut call = call.clone();
        call.created.get_or_insert_with(|| self.clock.now());
        let entry = record::entry(&call)
            .map_err(|error| error.at(self.cache.info().kind, "save").with_key(&view.key(digest)))?;
        view.put_with(digest, entry, PutOptions::default()).await?;
        Ok(digest)
    }

    /// The recorded call with the same lookup key as `call`.
    ///
    /// # Errors
    ///
    /// As [`Call::lookup_key`] and [`Cache::get`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn find(&self, call: &Call) -> Result<Option<Call>> {
        let key = self.function(&call.name)?.key(call.lookup_key()?);
        self.read_at(&key).await
    }

    /// The call recorded under `digest`, of whatever function.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is none,
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous) if a short digest matches two. Else as [`Cache::get`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn load(&self, digest: impl Into<KeyRef>) -> Result<Call> {
        let (digest, inside) = (digest.into(), self.inside());
        let load = async {
            let found = match inside.locate(digest, "load").await {
                Ok(Some(key)) => inside.read_at(&key).await?,
                unfound => {
                    self.cache.counters().read(&unfound, |_| 0);
                    unfound?;
                    None
                }
            };
            found.ok_or_else(|| absent(&self.cache, digest, "load"))
        };
        within(self.cache.hooks(), || self.cache.scope_operation("load", Intent::Read), load).await
    }

    /// Whether there is an entry under `digest`, of whatever function.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous) if a short digest matches two; else as
    /// [`Cache::contains`].
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn contains(&self, digest: impl Into<KeyRef>) -> Result<bool> {
        let inside = self.inside();
        let locate = inside.locate(digest.into(), "contains");
        let operation = || self.cache.scope_operation("contains", Intent::Read);
        let answer = within(self.cache.hooks(), operation, locate).await.map(|key| key.is_some());
        self.cache.counters().contains(&answer);
        answer
    }

    /// Removes the call recorded under `digest`, its result with it; one that is not there is fine.
    ///
    /// # Errors
    ///
    /// As [`contains`](Self::contains); the record may still be there.
    ///
    /// # Cancel safety
    ///
    /// The record is afterwards there as a whole or gone as a whole.
    pub async fn evict(&self, digest: impl Into<KeyRef>) -> Result<()> {
        let (digest, inside) = (digest.into(), self.inside());
        let evict = async {
            match inside.locate(digest, "evict").await? {
                Some(key) => inside.evict_at(&key).await,
                None => Ok(()),
            }
        };
        within(self.cache.hooks(), || self.cache.scope_operation("evict", Intent::Write), evict).await
    }

    /// This store for the parts of an operation that has entered the hooks.
    pub(super) fn inside(&self) -> Self {
        Self { cache: self.cache.inside(), ..self.clone() }
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The error, if it is wanted.
    pub(super) fn judge(&self, error: Error) -> Result<()> {
        if self.report_unreadable { Err(error) } else { Ok(()) }
    }

    /// A view of the calls of one function.
    pub(super) fn function(&self, name: &str) -> Result<Cache> {
        self.cache.namespace(component_of(name))
    }

    pub(super) async fn evict_at(&self, key: &Key) -> Result<()> {
        self.cache.at(key.namespace.clone()).evict(key.digest).await
    }

    async fn read_at(&self, key: &Key) -> Result<Option<Call>> {
        match self.read(key, |_| true).await? {
            Reading::Found(found) => Ok(Some(found.call)),
            Reading::Unwanted | Reading::Gone => Ok(None),
            Reading::Unreadable(error) => self.judge(error).map(|()| None),
        }
    }

    /// The key behind a digest, over all functions. Two entries are listed at a time, and no more than two
    /// in all unless others than calls lie in between.
    async fn locate(&self, digest: KeyRef, operation: &'static str) -> Result<Option<Key>> {
        self.cache.long_enough(digest, operation)?;
        let (prefix, full) = match digest {
            KeyRef::Digest(digest) => (DigestPrefix::from(digest), true),
            KeyRef::Prefix(prefix) => (prefix, prefix.as_digest().is_some()),
        };
        let root = self.cache.address();
        let mut page = ListOptions::below(root).with_prefix(prefix).with_limit(2);
        let mut found: Option<Key> = None;
        loop {
            let mut listing = self.cache.list_store(page.clone()).fuse();
            let mut last = [None, None];
            for slot in &mut last {
                let Some(entry) = listing.try_next().await? else { break };
                *slot = Some(entry.key.clone());
                if !is_function(root, &entry.key.namespace) {
                    continue;
                }
                match &found {
                    None if full => return Ok(Some(entry.key)),
                    None => found = Some(entry.key),
                    Some(other) if other.digest == entry.key.digest => {}
                    Some(other) => {
                        let (one, two) = (other.digest, entry.key.digest);
                        let twins = Ambiguity::new(prefix, one.min(two), one.max(two));
                        return Err(Error::ambiguous(self.cache.info().kind, operation, twins));
                    }
                }
            }
            match last {
                [_, Some(last)] => page = page.with_start_after(last),
                _ => return Ok(found),
            }
        }
    }
}

#[cfg(test)]
mod tests;
