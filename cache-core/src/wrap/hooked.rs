use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, FlushReport, GetOptions,
    Intent, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Operation, OperationHook, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Target, Usage, VerifyOptions, VerifyReport,
    hook::{Hooks, pulled, try_within, within},
};

/// Enters hooks around every operation of a store.
///
/// A store on its own says nothing of what it is doing, and runs whatever is asked of it at once. A hook
/// sees each operation with its target and its intent before it begins, and may make it wait, refuse
/// it, or watch it: see [`Serialized`](crate::Serialized), [`PerKeyLock`](crate::PerKeyLock),
/// [`Limited`](crate::Limited) and [`Traced`](crate::Traced).
///
/// | operation                               | target               | intent |
/// |-----------------------------------------|----------------------|--------|
/// | `contains`, `get`, `get_entry`, `meta`  | the key              | read   |
/// | `get_now`                               | the key, if no wait  | read   |
/// | `put`, `evict`                          | the key              | write  |
/// | `list`, each pull                       | the prefix or scope  | read   |
/// | `usage`                                 | the scope            | read   |
/// | `clean`                                 | the scope            | write  |
/// | `flush`                                 | the store            | read   |
/// | `close`                                 | the store            | write  |
/// | `info`, `metrics`                       | no operations        |        |
///
/// A flush reads: what others read stays as it is, and what it makes durable must not change under it.
/// The deadline of `close` begins when the hooks let it begin.
///
/// A listing is guarded pull by pull, up to 128 entries that are ready in each, so that whoever lists may
/// change what is listed. A pull that has begun is guarded until it is done or the stream is dropped: do
/// not wait for another operation with a pull half done. A streamed blob is guarded until the call
/// returns, and its bytes are read without a guard; a put that streams is guarded until it is done.
///
/// Wrap the store whose calls the hook is about: the one that must not be called twice at once, or the
/// whole stack. The same hook may be on several layers, as nested operations share what their chain
/// holds. Without the need for a hook leave it out: an operation pays for it in allocations, and what
/// is answered by `get_now` most.
#[derive(Clone, Debug)]
pub struct Hooked<S> {
    inner: S,
    hooks: Hooks,
}

impl<S: Store> Hooked<S> {
    /// Puts `hook` around every operation of `inner`.
    #[must_use]
    pub fn new(inner: S, hook: Arc<dyn OperationHook>) -> Self {
        Self { inner, hooks: Arc::new([hook]) }
    }

    /// Puts `hook` inside of those that are here already: it is entered after and left before them.
    #[must_use]
    pub fn with_hook(mut self, hook: Arc<dyn OperationHook>) -> Self {
        self.hooks = self.hooks.iter().cloned().chain([hook]).collect();
        self
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> KeyManagement for Hooked<S> {
    async fn contains(&self, key: &Key) -> Result<bool> {
        within(&self.hooks, || Operation::read("contains", key), self.inner.contains(key)).await
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        within(&self.hooks, || Operation::write("evict", key), self.inner.evict(key)).await
    }

    fn list(&self, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let target = Target::of_listing(&options);
        let operation = move || Operation::new("list", target.clone(), Intent::Read);
        pulled(Arc::clone(&self.hooks), operation, self.inner.list(options))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for Hooked<S> {
    /// Without spilling: a sink can be given to the inner store only.
    fn info(&self) -> StoreInfo {
        let mut info = self.inner.info();
        info.powers.spills = false;
        info
    }

    fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    fn get_now(&self, key: KeyView<'_>, blob: &BlobName) -> Option<Bytes> {
        try_within(
            &self.hooks,
            || Operation::read("get_now", &key.to_key()),
            || self.inner.get_now(key, blob),
        )
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        within(&self.hooks, || Operation::read("get", key), self.inner.get(key, blob, options)).await
    }

    async fn get_entry(&self, key: &Key, options: GetOptions) -> Result<Option<EntryRead>> {
        within(&self.hooks, || Operation::read("get_entry", key), self.inner.get_entry(key, options)).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        within(&self.hooks, || Operation::write("put", key), self.inner.put(key, entry, options)).await
    }

    async fn meta(&self, key: &Key) -> Result<Option<EntryMeta>> {
        within(&self.hooks, || Operation::read("meta", key), self.inner.meta(key)).await
    }

    async fn usage(&self, scope: &Namespace) -> Result<Usage> {
        let operation = || Operation::new("usage", Target::Scope(scope.clone()), Intent::Read);
        within(&self.hooks, operation, self.inner.usage(scope)).await
    }

    async fn clean(&self, scope: &Namespace, policy: &CleanPolicy) -> Result<CleanReport> {
        let operation = || Operation::new("clean", Target::Scope(scope.clone()), Intent::Write);
        within(&self.hooks, operation, self.inner.clean(scope, policy)).await
    }

    async fn verify(&self, scope: &Namespace, options: &VerifyOptions) -> Result<VerifyReport> {
        let operation = || Operation::new("verify", Target::Scope(scope.clone()), Intent::Read);
        within(&self.hooks, operation, self.inner.verify(scope, options)).await
    }

    async fn flush(&self) -> Result<FlushReport> {
        let operation = || Operation::new("flush", Target::Store, Intent::Read);
        within(&self.hooks, operation, self.inner.flush()).await
    }

    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let operation = || Operation::new("close", Target::Store, Intent::Write);
        within(&self.hooks, operation, self.inner.close(deadline)).await
    }
}

#[cfg(test)]
mod tests;
