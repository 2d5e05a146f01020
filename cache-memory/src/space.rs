//! The namespaces that hold something, and what each holds.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use cache_core::{Namespace, Usage};

/// A namespace as its entries know it: one allocation for all of them.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) namespace: Namespace,
    /// No other namespace of the store has or had it.
    pub(crate) id: u64,
    held: Held,
}

/// On lines of its own: writes to it do not disturb readers of the name.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Held {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Space {
    /// An entry grows or shrinks.
    pub(crate) fn resize(&self, old: u64, new: u64) {
        self.held.bytes.fetch_add(new.wrapping_sub(old), Relaxed);
    }
}

/// All namespaces in use, in their order.
#[derive(Debug)]
pub(crate) struct Spaces {
    root: Arc<Space>,
    others: RwLock<BTreeMap<Namespace, Arc<Space>>>,
    next_id: AtomicU64,
}

impl Default for Spaces {
    fn default() -> Self {
        let root = Space { namespace: Namespace::root(), id: 0, held: Held::default() };
        Self { root: Arc::new(root), others: RwLock::default(), next_id: AtomicU64::new(1) }
    }
}

impl Spaces {
    /// Adds an entry to the space of its namespace, which is made if it is new.
    pub(crate) fn enter(&self, namespace: &Namespace, bytes: u64) -> Arc<Space> {
        // While the map is locked: a space without entries may be forgotten.
        let enter = |space: &Arc<Space>| {
            space.held.entries.fetch_add(1, Relaxed);
            space.held.bytes.fetch_add(bytes, Relaxed);
            Arc::clone(space)
        };
        if namespace.is_root() {
            return enter(&self.root);
        }
        let known = self.others.read().unwrap_or_else(PoisonError::into_inner).get(namespace).map(enter);
        known.unwrap_or_else(|| {
            let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
            let made = || {
                let id = self.next_id.fetch_add(1, Relaxed);
                Arc::new(Space { namespace: namespace.clone(), id, held: Held::default() })
            };
            enter(others.entry(namespace.clone()).or_insert_with(made))
        })
    }

    /// Takes an entry away, and forgets its space if it was the last one.
    pub(crate) fn leave(&self, space: &Space, bytes: u64) {
        space.held.bytes.fetch_sub(bytes, Relaxed);
        let was_last = space.held.entries.fetch_sub(1, Relaxed) == 1;
        if was_last && !space.namespace.is_root() {
            let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
            let is_empty = |space: &Arc<Space>| space.held.entries.load(Relaxed) == 0;
            if others.get(&space.namespace).is_some_and(is_empty) {
                others.remove(&space.namespace);
            }
        }
    }

    /// The first space from here on.
    pub(crate) fn from(&self, start: Bound<&Namespace>) -> Option<Arc<Space>> {
        if matches!(start, Bound::Included(namespace) if namespace.is_root()) {
            return Some(Arc::clone(&self.root));
        }
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        others.range::<Namespace, _>((start, Bound::Unbounded)).next().map(|(_, space)| Arc::clone(space))
    }

    /// What a namespace and all below it hold.
    pub(crate) fn usage(&self, scope: &Namespace) -> Usage {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let below = others.range::<Namespace, _>(scope..);
        let below = below.take_while(|(namespace, _)| namespace.encoded().starts_with(scope.encoded()));
        let mut usage = Usage::default();
        for space in [&self.root].into_iter().chain(below.map(|(_, space)| space)) {
            if scope.covers(&space.namespace) {
                usage.entries += space.held.entries.load(Relaxed);
                usage.bytes += space.held.bytes.load(Relaxed);
                usage.stored_bytes += space.held.bytes.load(Relaxed);
            }
        }
        usage
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.others.read().unwrap().len()
    }
}
