//! The suite passes over a store that keeps the contract, and finds each way to break it.

mod faulty;
mod toy;

mod conformance {
    use std::sync::Arc;

    use cache_conformance::{Factory, Setup};
    use cache_core::{Result, Store};

    use crate::toy::{Fresh, Toy};

    struct Plain;

    #[async_trait::async_trait]
    impl Factory for Plain {
        async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
            Ok(Arc::new(Toy::new(setup)))
        }
    }

    fn with(set: impl FnOnce(&mut cache_core::Powers)) -> Fresh {
        let mut fresh = Fresh::default();
        set(&mut fresh.powers);
        fresh
    }

    mod volatile {
        cache_conformance::suite! { super::Plain }
    }

    mod durable {
        cache_conformance::suite! { super::with(|powers| powers.durable = true) }
    }

    mod without_powers {
        cache_conformance::suite! { super::with(|powers| *powers = cache_core::Powers::default()) }
    }
}

mod mutants;
mod runner;
