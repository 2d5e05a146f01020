//! The suite over all decorators of one tier around a durable store, whose bytes rot and which is killed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cache_conformance::{Crash, Damage, Factory, Reference, Setup};
use cache_core::{Compressed, Deadline, Metered, Namespace, Result, RetryOptions, Retrying, Store, Verified};

#[derive(Default)]
struct AllAround(Reference);

#[async_trait]
impl Factory for AllAround {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        let store = Deadline::new(self.0.store(setup)?, Duration::from_secs(30));
        let elsewhere = Namespace::root().child("content-addressed")?;
        let store = Verified::new(Compressed::new(store), [elsewhere]);
        Ok(Arc::new(Metered::new(Retrying::new(store, RetryOptions::default()))))
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.0.damage()
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.0.crash()
    }
}

cache_conformance::suite! { AllAround::default(), handles: [damage, crash] }
