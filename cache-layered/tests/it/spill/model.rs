//! Random operations against a map: a read is the last value put, or a miss of which something counted is the
//! cause; and memory counts what it holds.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use bytes::Bytes;
use cache_conformance::{
    Reference,
    fault::{Call, Flaky, When},
};
use cache_core::{
    BlobName, CleanPolicy, GetOptions, Key, KeyManagement, ListOptions, Namespace, PutEntry, PutMode,
    PutOptions, SpillSource, Store, StoreExt,
};
use cache_layered::{LayeredStore, TierOptions, WritePolicy};
use futures::TryStreamExt;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::{runtime::Builder, task::yield_now};

use super::{OpenSource, each_source, limited};
use crate::tiers::key;

const BUDGET: u64 = 300;
const KEYS: u8 = 8;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u16),
    /// A put whose future is dropped after so many polls.
    Dropped(u8, u16, u8),
    Merge(u8, u8, u16),
    Get(u8),
    Entry(u8),
    Evict(u8),
    Clean(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    let len = || prop_oneof![0..150_u16, Just(100), Just(300), 290..400_u16];
    prop_oneof![
        6 => (key(), len()).prop_map(|(key, len)| Step::Put(key, len)),
        2 => (key(), len(), 0..6_u8).prop_map(|(key, len, polls)| Step::Dropped(key, len, polls)),
        2 => (key(), 0..3_u8, 0..120_u16).prop_map(|(key, blob, len)| Step::Merge(key, blob, len)),
        5 => key().prop_map(Step::Get),
        2 => key().prop_map(Step::Entry),
        1 => key().prop_map(Step::Evict),
        1 => (0..1000_u64).prop_map(Step::Clean),
        1 => Just(Step::Flush),
    ]
}

type Contents = BTreeMap<String, Bytes>;

struct Run {
    source: Arc<dyn SpillSource>,
    store: LayeredStore,
    /// What each entry may be.
    model: BTreeMap<u8, Vec<Option<Contents>>>,
    /// Entries that were found missing.
    missing: u64,
    number: u8,
}

fn name(number: u8) -> Key {
    key(&number.to_string())
}

impl Run {
    fn fresh(&mut self, len: u16) -> Bytes {
        self.number = self.number.wrapping_add(1);
        vec![self.number; len.into()].into()
    }

    fn may_be(&mut self, number: u8) -> &mut Vec<Option<Contents>> {
        self.model.entry(number).or_insert_with(|| vec![None])
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Put(number, len) => {
                let bytes = self.fresh(len);
                let put = self.store.put_bytes(&name(number), bytes.clone()).await;
                if let Ok(outcome) = put {
                    assert!(outcome.is_stored(), "{outcome:?}");
                    *self.may_be(number) = vec![Some(one(bytes))];
                }
            }
            Step::Dropped(number, len, polls) => {
                let bytes = self.fresh(len);
                {
                    let key = name(number);
                    let mut put = pin!(self.store.put_bytes(&key, bytes.clone()));
                    for _ in 0..polls {
                        if futures::poll!(put.as_mut()).is_ready() {
                            break;
                        }
                        yield_now().await;
                    }
                }
                // What was begun goes to its end.
                for _ in 0..100 {
                    yield_now().await;
                }
                self.may_be(number).push(Some(one(bytes)));
            }
            Step::Merge(number, blob, len) => {
                let (bytes, blob) = (self.fresh(len), format!("b{blob}"));
                let entry = PutEntry::default().with(BlobName::new(&*blob).unwrap(), bytes.clone());
                let now = self.look(number).await;
                let put = self.store.put(&name(number), entry, PutOptions::mode(PutMode::Merge)).await;
                if let (Ok(outcome), Ok(now)) = (&put, now) {
                    assert!(outcome.is_stored(), "{outcome:?}");
                    let mut merged = now.unwrap_or_default();
                    merged.insert(blob, bytes);
                    *self.may_be(number) = vec![Some(merged)];
                }
            }
            Step::Get(number) => {
                if let Ok(found) = self.store.get_bytes(&name(number), &BlobName::DATA).await {
                    let states = self.may_be(number).clone();
                    let data = |state: &Option<Contents>| state.as_ref()?.get("data").cloned();
                    if found.is_some() || !states.iter().any(|state| data(state).is_none()) {
                        let fits = states.iter().any(|state| data(state) == found);
                        assert!(fits || found.is_none(), "get of {number} is of another version");
                        if !fits {
                            self.miss(number);
                        }
                    }
                }
            }
            Step::Entry(number) => _ = self.look(number).await,
            Step::Evict(number) => {
                self.store.evict(&name(number)).await.unwrap();
                *self.may_be(number) = vec![None];
            }
            Step::Clean(max) => {
                let policy = CleanPolicy::default().with_max_bytes(max);
                self.store.clean(&Namespace::root(), &policy).await.unwrap();
                for number in 0..KEYS {
                    if !self.there(number).await {
                        *self.may_be(number) = vec![None];
                    }
                }
                let left = self.store.usage(&Namespace::root()).await.unwrap();
                assert!(left.bytes <= max, "{left} after a clean to {max}");
            }
            Step::Flush => _ = self.store.flush().await,
        }
    }

    async fn there(&self, number: u8) -> bool {
        loop {
            // Below fails now and then.
            if let Ok(there) = self.store.contains(&name(number)).await {
                return there;
            }
        }
    }

    /// The entry, which is one that it may be.
    async fn look(&mut self, number: u8) -> cache_core::Result<Option<Contents>> {
        let read = self.store.get_entry(&name(number), GetOptions::default()).await?;
        let found = read.map(|read| -> Contents {
            let blobs = read.blobs.into_iter();
            blobs.map(|(name, blob)| (name.to_string(), blob.bytes().unwrap().clone())).collect()
        });
        let states = self.may_be(number);
        if states.contains(&found) {
            *states = vec![found.clone()];
        } else {
            assert!(found.is_none(), "entry {number} is of another version");
            self.miss(number);
        }
        Ok(found)
    }

    /// Something was lost, and was counted.
    fn miss(&mut self, number: u8) {
        self.missing += 1;
        *self.may_be(number) = vec![None];
        let metrics = self.store.metrics();
        assert!(metrics.spill_errors >= self.missing, "entry {number} is gone, and nothing was counted");
    }

    /// What memory says that it holds is what it holds, and it is within its budget.
    async fn check(&self) {
        let usage = self.source.usage(&Namespace::root()).await.unwrap();
        let held: Vec<_> = self.source.list(ListOptions::default()).try_collect().await.unwrap();
        let mut bytes = 0;
        for meta in &held {
            let entry = self.source.peek(&meta.key).unwrap();
            bytes += entry.blobs.iter().map(|(_, blob)| blob.len()).sum::<u64>();
        }
        assert_eq!((usage.entries, usage.bytes), (held.len() as u64, bytes));
        assert!(bytes <= BUDGET, "{bytes} bytes in memory");
        let metrics = self.source.metrics();
        assert!(metrics.resident_bytes.is_none_or(|resident| resident == bytes), "{metrics:?}");
        assert!(metrics.entries.is_none_or(|entries| entries == usage.entries), "{metrics:?}");
        assert_eq!(metrics.spills, self.store.metrics().spills, "a spill is one for both");
    }
}

fn one(bytes: Bytes) -> Contents {
    BTreeMap::from([("data".to_owned(), bytes)])
}

fn agrees(open: OpenSource, faults: When) {
    let steps = prop::collection::vec(step(), 1..120);
    TestRunner::new(ProptestConfig::with_cases(64))
        .run(&(steps, any::<u64>()), |(steps, seed)| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let below = Flaky::new(Reference::volatile().store(&limited(1 << 20)).unwrap());
                let below = below.with_only(&[Call::Put, Call::Meta, Call::Contains]).with_seed(seed);
                let source = open(&limited(BUDGET)).unwrap();
                // What a breaker passes over is found again later: a miss would tell nothing.
                let role = TierOptions::default().with_write(WritePolicy::Spill).with_breaker(None);
                let store = LayeredStore::builder().spilling_tier("memory", Arc::clone(&source));
                let store = store.tier("below", Arc::new(below.clone())).options(role).build().unwrap();
                below.arm(faults);
                let mut run = Run { source, store, model: BTreeMap::new(), missing: 0, number: 0 };
                for step in steps {
                    run.step(step).await;
                    run.check().await;
                }
                below.arm(When::Never);
                for number in 0..KEYS {
                    run.look(number).await.unwrap();
                }
                let lost = run.store.metrics().spill_errors;
                assert!(faults != When::Never || lost == 0, "{lost} entries are lost");
            });
            Ok(())
        })
        .unwrap();
}

macro_rules! over {
    ($source:ident) => {
        mod $source {
            use super::*;

            #[test]
            fn random_operations_agree_with_a_map() {
                agrees(crate::spill::$source, When::Never);
            }

            #[test]
            fn random_operations_over_a_failing_tier_agree_with_a_map_but_for_what_is_counted() {
                agrees(crate::spill::$source, When::Chance(0.15));
            }
        }
    };
}

each_source! { over! {} }
