//! What waits is there for everybody but the tier.

mod close;
mod conformance;
mod losses;
mod model;
mod order;
mod reads;
mod room;
mod sickness;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cache_conformance::{
    Reference, ReferenceStore, Setup,
    fault::{Call, Flaky, Full, Hanging, When},
};
use cache_core::{BlobName, Digest, Error, ErrorKind, Key, PutOutcome, Result, Store, StoreExt, SystemClock};

use super::Behind;
use crate::{TierOptions, WritePolicy, tally::Tally};

/// A tier that fails puts and evictions, is full, and answers no put, as a test asks it to.
type Tier = Flaky<Hanging<Full<ReferenceStore>>>;

const QUEUE: u64 = 64 << 10;

fn options() -> TierOptions {
    TierOptions::default().with_write(WritePolicy::Behind).with_queue_bytes(QUEUE)
}

fn tier_of(reference: &Reference) -> Tier {
    let store = Full::new(reference.store(&Setup::default()).unwrap());
    Flaky::new(Hanging::new(store).with_only(&[Call::Put])).with_only(&[Call::Put, Call::Evict])
}

fn tier() -> Tier {
    tier_of(&Reference::volatile())
}

fn behind_with(tier: &Tier, options: &TierOptions) -> (Behind, Arc<Tally>) {
    let tally = Arc::<Tally>::default();
    (Behind::new(Arc::new(tier.clone()), options, Arc::clone(&tally), Arc::new(SystemClock)), tally)
}

fn behind(tier: &Tier) -> Behind {
    behind_with(tier, &options()).0
}

fn fail(tier: &Tier, kind: ErrorKind) {
    tier.set_kind(kind);
    tier.arm(When::Every(1));
}

/// A tier on which what is put stays in the queue, and a store over it.
fn stuck() -> (Tier, Behind) {
    let tier = tier();
    fail(&tier, ErrorKind::Unavailable);
    let store = behind(&tier);
    (tier, store)
}

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

async fn put(store: &impl Store, name: &str, value: impl Into<Bytes> + Send) -> Result<PutOutcome> {
    store.put_bytes(&key(name), value.into()).await
}

async fn get(store: &impl Store, name: &str) -> Option<Bytes> {
    store.get_bytes(&key(name), &BlobName::DATA).await.unwrap()
}

/// What the tier itself has.
async fn below(tier: &Tier, name: &str) -> Option<Bytes> {
    get(tier.inner().inner(), name).await
}

/// Waits for what comes to be by itself. The clock is paused: no machine is too slow for this.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), wait).await.expect("it never comes to be");
}

fn kind(answer: Result<impl std::fmt::Debug>) -> ErrorKind {
    let error: Error = answer.unwrap_err();
    error.kind()
}
