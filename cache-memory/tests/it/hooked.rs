//! The suite over a store with the hooks that are shipped around every operation.

use std::sync::Arc;

use cache_conformance::{Decorated, Reference};
use cache_core::{Hooked, Limited, OperationHook, PerKeyLock, Result, Serialized, Store, Traced};

/// Opens stores inside of these hooks, the first of them outermost.
fn inside(hooks: fn() -> Result<Vec<Arc<dyn OperationHook>>>) -> Decorated<Reference> {
    Decorated::new(Reference::default(), move |store| {
        let within = |store, hook| Arc::new(Hooked::new(store, hook)) as Arc<dyn Store>;
        Ok(hooks()?.into_iter().rev().fold(store, within))
    })
}

/// Opens stores with all hooks on one decorator.
fn inside_all() -> Decorated<Reference> {
    Decorated::new(Reference::default(), |store| {
        let store = Hooked::new(store, Arc::new(Traced::default()));
        let store = store.with_hook(Arc::new(Limited::new(2)?));
        Ok(Arc::new(
            store.with_hook(Arc::new(Serialized::default())).with_hook(Arc::new(PerKeyLock::default())),
        ))
    })
}

/// Writes the suite over stores that can be damaged, made to fail, and killed.
macro_rules! suite_over {
    ($($name:ident: $stores:expr,)*) => {
        $(mod $name {
            use super::*;
            cache_conformance::suite! { $stores, handles: [damage, failures, crash] }
        })*
    };
}

suite_over! {
    all_on_one_decorator: inside_all(),
    all_one_around_the_other: inside(|| Ok(vec![
        Arc::new(Traced::default()),
        Arc::new(Limited::new(2)?),
        Arc::new(Serialized::default()),
        Arc::new(PerKeyLock::default()),
    ])),
    limited: inside(|| Ok(vec![Arc::new(Limited::new(1)?)])),
    per_key_lock: inside(|| Ok(vec![Arc::new(PerKeyLock::default())])),
    serialized: inside(|| Ok(vec![Arc::new(Serialized::default())])),
    the_same_lock_twice: inside(|| {
        let lock: Arc<dyn OperationHook> = Arc::new(PerKeyLock::default());
        Ok(vec![Arc::clone(&lock), lock])
    }),
    traced: inside(|| Ok(vec![Arc::new(Traced::default())])),
}
