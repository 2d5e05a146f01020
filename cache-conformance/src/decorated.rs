use std::{fmt, sync::Arc};

use async_trait::async_trait;
use cache_core::{Result, Store};

use crate::{Crash, Damage, Factory, Failures, Heap, Setup, Spill};

type Wrap = dyn Fn(Arc<dyn Store>) -> Result<Arc<dyn Store>> + Send + Sync;

/// Opens the stores of another factory with a decorator around each, and hands on its handles.
///
/// Around [`Reference`](crate::Reference), every group but `heap` runs over the decorator: what lies below
/// it is damaged, fails and dies.
///
/// ```
/// use std::sync::Arc;
///
/// use cache_conformance::{Decorated, Reference};
/// use cache_core::Metered;
///
/// mod metered {
///     use super::*;
///     cache_conformance::suite! {
///         Decorated::new(Reference::default(), |store| Ok(Arc::new(Metered::new(store)))),
///         handles: [damage, failures, crash]
///     }
/// }
/// # fn main() { let _ = Decorated::new(Reference::default(), |store| Ok(Arc::new(Metered::new(store)))); }
/// ```
pub struct Decorated<F> {
    inner: F,
    wrap: Box<Wrap>,
}

impl<F> Decorated<F> {
    /// Puts what `wrap` makes around each store that `inner` opens.
    pub fn new(
        inner: F,
        wrap: impl Fn(Arc<dyn Store>) -> Result<Arc<dyn Store>> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, wrap: Box::new(wrap) }
    }
}

impl<F: fmt::Debug> fmt::Debug for Decorated<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decorated").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<F: Factory> Factory for Decorated<F> {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        (self.wrap)(self.inner.open(setup).await?)
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.inner.damage()
    }

    fn failures(&self) -> Option<&dyn Failures> {
        self.inner.failures()
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.inner.crash()
    }

    /// None: what a decorator makes of a source need not be one.
    fn spill(&self) -> Option<&dyn Spill> {
        None
    }

    fn heap(&self) -> Option<&dyn Heap> {
        self.inner.heap()
    }
}
