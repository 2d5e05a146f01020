use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::{
    Baseline, Counters, Digest, DigestPrefix, EntryHandle, Error, ErrorKind, Intent, Key, KeyRef, Metrics,
    Namespace, Operation, OperationHook, Result, Store, StoreInfo, Target,
    cache::gate::{ComputeLimits, Gate},
    flight::Flights,
    hook::Hooks,
    resolve,
};

/// A cache as an application holds it: a store and a namespace in it.
///
/// Clones and [`namespace`](Self::namespace) views are cheap and share the store, the counters and the work
/// under way. Digests may be given short wherever a [`KeyRef`] is taken. Damage that the store finds is a
/// miss here, and counted, unless [`report_corruption`](Self::report_corruption) asks for the error.
///
/// # Single-flight
///
/// Calls of one handle, its clones and its views that ask for the same thing at the same time share one
/// piece of work: reads of a blob, puts of the same bytes in hand, computations of a missing value. Work that
/// one caller began goes on while any caller waits for it, and is dropped with the last. It never answers a
/// call that began after a write of its key returned.
///
/// See the `cache` crate for how to open one.
#[derive(Clone, Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    namespace: Namespace,
    hooks: Hooks,
    gate: Option<Arc<Gate>>,
    min_digits: usize,
    report_corruption: bool,
}

/// What clones and views share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    counters: Arc<Counters>,
    baseline: Baseline,
    flights: Arc<Flights>,
    /// The tasks of shared work.
    tasks: TaskTracker,
    max_blob_bytes: Option<u64>,
}

impl Cache {
    /// The whole of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let max_blob_bytes = store.info().max_blob_bytes;
        let shared = Shared {
            store,
            counters: Arc::default(),
            baseline: Baseline::default(),
            flights: Arc::default(),
            tasks: TaskTracker::new(),
            max_blob_bytes,
        };
        Self {
            shared: Arc::new(shared),
            namespace: Namespace::root(),
            hooks: Hooks::default(),
            gate: None,
            min_digits: DigestPrefix::DEFAULT_MIN_DIGITS,
            report_corruption: false,
        }
    }

    /// Refuses short digests of fewer digits, 4 by default. Clamped to 1..=63.
    #[must_use]
    pub fn with_min_digits(mut self, digits: usize) -> Self {
        self.min_digits = digits.clamp(1, Digest::DIGITS - 1);
        self
    }

    /// Enters `hook` around every operation of this handle, and of every clone and view made of it from here
    /// on, inside of the hooks that it has already.
    ///
    /// A compound operation is one: a read of a short digest with its expansion, a computation with the read
    /// before it and the put after it. What it does to the store is not entered again, unless the store is
    /// [`Hooked`](crate::Hooked), too; with the same hook that is no deadlock, if all handles of the cache have it.
    /// What it holds is held as long as work goes on that this operation began and that others wait for.
    ///
    /// | operation                                            | target                       | intent |
    /// |------------------------------------------------------|------------------------------|--------|
    /// | `get`, `get_with`, `contains`, `meta`, `EntryHandle::read` | the key, or the prefix | read   |
    /// | `put`, `put_with`, `get_or_compute`                  | the key                      | write  |
    /// | `evict`                                              | the key, or the prefix       | write  |
    /// | `expand`, `list` (each pull)                         | the prefix, or the namespace | read   |
    /// | `shrink`                                             | the key                      | read   |
    /// | `shrink_all`, `usage`                                | the namespace                | read   |
    /// | `clean`, `clear`                                     | the namespace                | write  |
    /// | `flush`                                              | the store                    | read   |
    /// | `close`                                              | the store                    | write  |
    #[must_use]
    pub fn with_hook(mut self, hook: Arc<dyn OperationHook>) -> Self {
        self.hooks = self.hooks.iter().cloned().chain([hook]).collect();
        self
    }

    /// Bounds the computations that this handle, and every clone and view made of it from here on, has
    /// under way at once.
    #[must_use]
    pub fn with_compute_limits(mut self, limits: ComputeLimits) -> Self {
        self.gate = Some(Arc::new(Gate::new(limits)));
        self
    }

    /// Answers damage as an error of kind [`Corrupt`](ErrorKind::Corrupt) instead of a miss.
    #[must_use]
    pub fn report_corruption(mut self) -> Self {
        self.report_corruption = true;
        self
    }

    /// A view of the namespace `part` below this one. It shares everything but the address.
    ///
    /// # Errors
    ///
    /// [`Invalid`](ErrorKind::Invalid) if `part` is not one safe path component.
    pub fn namespace(&self, part: impl AsRef<str>) -> Result<Self> {
        Ok(Self { namespace: self.namespace.child(part)?, ..self.clone() })
    }

    /// A view of any namespace of the store.
    #[cfg(feature = "calls")]
    pub(crate) fn at(&self, namespace: Namespace) -> Self {
        Self { namespace, ..self.clone() }
    }

    /// This handle for the parts of an operation that has entered the hooks.
    #[cfg(feature = "calls")]
    pub(crate) fn inside(&self) -> Self {
        Self { hooks: Hooks::default(), ..self.clone() }
    }

    /// The namespace that this handle looks in.
    #[must_use]
    pub fn address(&self) -> &Namespace {
        &self.namespace
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// What the store is.
    #[must_use]
    pub fn info(&self) -> StoreInfo {
        self.store().info()
    }

    /// The named blobs of one entry.
    #[must_use]
    pub fn entry(&self, digest: impl Into<KeyRef>) -> EntryHandle {
        EntryHandle::new(self.clone(), digest.into())
    }

    /// What was done through this handle, its clones and views since it was made or the counters were
    /// reset; below it the store's own. The latencies of reads are those of reads that had to wait.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.baseline.apply(&self.all_metrics())
    }

    /// Has [`metrics`](Self::metrics) count from zero again, for this handle, its clones and views. The
    /// store below counts on.
    pub fn reset_metrics(&self) {
        self.shared.baseline.reset(self.all_metrics());
    }

    fn all_metrics(&self) -> Metrics {
        let mut metrics = self.counters().snapshot();
        metrics.tiers = vec![(Arc::from(self.store().info().kind.as_ref()), self.store().metrics())];
        metrics
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.shared.flights
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// An operation on what `digest` stands for.
    pub(crate) fn operation(&self, name: &'static str, digest: KeyRef, intent: Intent) -> Operation {
        let target = match digest {
            KeyRef::Digest(digest) => Target::Key(self.key(digest)),
            KeyRef::Prefix(prefix) => Target::Prefix(self.namespace.clone(), prefix),
        };
        Operation::new(name, target, intent)
    }

    /// An operation on this namespace and all below it.
    pub(crate) fn scope_operation(&self, name: &'static str, intent: Intent) -> Operation {
        Operation::new(name, Target::Scope(self.namespace.clone()), intent)
    }

    pub(crate) fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// The largest blob that is taken in hand.
    pub(crate) fn cap(&self) -> u64 {
        self.shared.max_blob_bytes.unwrap_or(u64::MAX)
    }

    pub(crate) fn min_digits(&self) -> usize {
        self.min_digits
    }

    pub(crate) fn key(&self, digest: Digest) -> Key {
        Key::new(self.namespace.clone(), digest)
    }

    /// Damage becomes a miss unless the error is wanted.
    pub(crate) fn soften<T>(&self, read: Result<Option<T>>) -> Result<Option<T>> {
        match read {
            Err(error) if error.kind() == ErrorKind::Corrupt && !self.report_corruption => Ok(None),
            read => read,
        }
    }

    pub(crate) fn long_enough(&self, digest: KeyRef, operation: &'static str) -> Result<()> {
        match digest {
            KeyRef::Prefix(prefix) if prefix.len() < self.min_digits => {
                Err(Error::new(ErrorKind::Invalid, self.store().info().kind, operation)
                    .with_detail(format!("{prefix} is too short: give at least {} digits", self.min_digits)))
            }
            _ => Ok(()),
        }
    }

    /// The key behind a digest that may be short; `None` if a short one matches nothing.
    pub(crate) async fn resolve(&self, digest: KeyRef, operation: &'static str) -> Result<Option<Key>> {
        self.long_enough(digest, operation)?;
        resolve::resolve(&**self.store(), &self.namespace, digest, operation).await
    }
}

#[cfg(test)]
mod tests;
