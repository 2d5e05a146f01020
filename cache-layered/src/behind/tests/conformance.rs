//! The whole suite: a store with a queue in front of it is a store.

use std::sync::Arc;

use cache_conformance::{Decorated, Reference};
use cache_core::{Metered, Powers, SystemClock};

use crate::{TierOptions, WritePolicy, behind::Behind};

/// What waits is this process's own. A read of it is counted by whoever asks, as stacks do.
fn behind(write: WritePolicy, recency: bool) -> Decorated<Reference> {
    let mut powers = Powers::default();
    (powers.durable, powers.bounded, powers.streaming) = (true, true, true);
    (powers.recency, powers.dated) = (recency, recency);
    Decorated::new(Reference::with_powers(powers), move |store| {
        let options = TierOptions::default().with_write(write);
        let behind = Behind::new(store, &options, Arc::default(), Arc::new(SystemClock));
        Ok(Arc::new(Metered::new(behind)))
    })
}

mod written_behind {
    use super::*;
    cache_conformance::suite! { behind(WritePolicy::Behind, false), handles: [crash] }
}

/// Nothing is owed as long as nothing fails.
mod written_through {
    use super::*;
    cache_conformance::suite! { behind(WritePolicy::Through, true), handles: [damage, failures, crash] }
}
