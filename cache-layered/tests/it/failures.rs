//! Whatever fails in whichever tier: no wrong value is ever returned, nothing that was acknowledged and flushed is
//! lost, and nobody waits for ever.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cache_conformance::fault::{Flaky, Full, Hanging, When};
use cache_core::{
    BlobName, ErrorKind, GetOptions, Key, KeyManagement, PutEntry, PutOptions, Result, Store, StoreExt,
};
use cache_layered::{
    BreakerOptions, LayeredBuilder, LayeredStore, Promotion, Quorum, TierOptions, WhenFull, WritePolicy,
};
use cache_memory::MemoryOptions;
use futures::{FutureExt, StreamExt, future::BoxFuture, future::join_all, stream};
use proptest::{collection::vec, option, prelude::*};
use tokio::time::{sleep, timeout};

use crate::tiers::{key, memory};

type Tier = Hanging<Flaky<Full<cache_memory::MemoryStore>>>;

/// No call may take longer, on a clock that stands still while anybody can go on.
const EVER: Duration = Duration::from_secs(600);
const KEYS: u8 = 4;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Put { bytes: u16, streams: bool },
    Evict,
    Get { streamed: bool },
    GetEntry,
    Contains,
    Meta,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// One call in so many fails like this.
    Flaky(u64, ErrorKind),
    Hangs,
    /// There is room for so many bytes more.
    Full(u64),
}

#[derive(Clone, Debug)]
enum Step {
    /// At the same time, each of another key; the caller of some of them leaves after so many milliseconds.
    Calls(Vec<(Operation, Option<u64>)>),
    Flush,
    /// So many milliseconds pass.
    Wait(u64),
    Fault(usize, Fault),
    Heal(usize),
}

#[derive(Clone, Debug)]
struct Roles {
    mid: TierOptions,
    slow: TierOptions,
    fast: Promotion,
    quorum: Quorum,
    /// Failing calls of this tier have been carried out.
    loses_replies: Option<usize>,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (1..900_u16, any::<bool>()).prop_map(|(bytes, streams)| Operation::Put { bytes, streams }),
        1 => Just(Operation::Evict),
        4 => any::<bool>().prop_map(|streamed| Operation::Get { streamed }),
        1 => Just(Operation::GetEntry),
        1 => Just(Operation::Contains),
        1 => Just(Operation::Meta),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![
        3 => Just(ErrorKind::Unavailable),
        1 => Just(ErrorKind::Timeout),
        1 => Just(ErrorKind::NoSpace),
        1 => Just(ErrorKind::Denied),
    ];
    prop_oneof![
        3 => (1..4_u64, kind).prop_map(|(every, kind)| Fault::Flaky(every, kind)),
        2 => Just(Fault::Hangs),
        1 => (0..2000_u64).prop_map(Fault::Full),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let left = option::weighted(0.15, 0..700_u64);
    prop_oneof![
        8 => vec((operation(), left), 1..=usize::from(KEYS)).prop_map(Step::Calls),
        1 => Just(Step::Flush),
        2 => (0..3000_u64).prop_map(Step::Wait),
        2 => (0..3_usize, fault()).prop_map(|(tier, fault)| Step::Fault(tier, fault)),
        2 => (0..3_usize).prop_map(Step::Heal),
    ]
}

fn promotion() -> impl Strategy<Value = Promotion> {
    prop_oneof![Just(Promotion::Inline), Just(Promotion::Background), Just(Promotion::Never)]
}

fn role() -> impl Strategy<Value = TierOptions> {
    let write = prop_oneof![2 => Just(WritePolicy::Through), 1 => Just(WritePolicy::Behind)];
    let when_full = prop_oneof![Just(WhenFull::Wait), Just(WhenFull::Refuse)];
    (write, promotion(), when_full, any::<bool>()).prop_map(|(write, promotion, when_full, breaks)| {
        let breaker = BreakerOptions::default().with_failures(3).with_pause(Duration::from_secs(2));
        TierOptions::default()
            .with_write(write)
            .with_promotion(promotion)
            .with_when_full(when_full)
            .with_queue_bytes(64 << 10)
            .with_breaker(breaks.then_some(breaker))
            .with_deadline(Duration::from_millis(500))
    })
}

fn roles() -> impl Strategy<Value = Roles> {
    let loses_replies = option::of(0..3_usize);
    (role(), role(), promotion(), 0..4_usize, loses_replies).prop_map(
        |(mid, slow, fast, least, loses_replies)| {
            let behind = |tier: &TierOptions| tier.write == WritePolicy::Through;
            let through = 1 + usize::from(behind(&mid)) + usize::from(behind(&slow));
            // A quorum of one would be met by the tier that evicts.
            let quorum = if (2..=through).contains(&least) { Quorum::AtLeast(least) } else { Quorum::All };
            Roles { mid, slow, fast, quorum, loses_replies }
        },
    )
}

struct Run {
    tiers: Vec<Tier>,
    store: LayeredStore,
    /// What each key may have: of writes that failed or were left, the value before or after.
    may: HashMap<Key, HashSet<Option<Bytes>>>,
    puts: u64,
    /// How many queued puts had been dropped when a flush succeeded last.
    told: u64,
    /// What was put since then.
    unflushed: HashSet<Key>,
}

impl Run {
    fn new(roles: &Roles) -> Self {
        let tier = |at: usize, options| {
            let flaky = Flaky::new(Full::new(memory(options)));
            let loses = roles.loses_replies == Some(at);
            Hanging::new(if loses { flaky.with_lost_replies() } else { flaky })
        };
        let small = MemoryOptions::unlimited().with_max_bytes(1500);
        let tiers =
            vec![tier(0, small), tier(1, MemoryOptions::unlimited()), tier(2, MemoryOptions::unlimited())];
        let add = |builder: LayeredBuilder, at: usize, name: &str, options: TierOptions| {
            builder.tier(name, Arc::new(tiers[at].clone())).options(options)
        };
        let fast =
            TierOptions::default().with_promotion(roles.fast).with_deadline(Duration::from_millis(500));
        let builder = add(LayeredStore::builder().quorum(roles.quorum), 0, "fast", fast);
        let builder = add(builder, 1, "mid", roles.mid.clone());
        let store = add(builder, 2, "slow", roles.slow.clone()).build().unwrap();
        let may = (0..KEYS).map(|n| (key(&n.to_string()), HashSet::from([None]))).collect();
        Self { tiers, store, may, puts: 0, told: 0, unflushed: HashSet::new() }
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Calls(calls) => self.calls(calls).await,
            Step::Flush => _ = self.flush().await,
            Step::Wait(ms) => sleep(Duration::from_millis(*ms)).await,
            Step::Fault(at, fault) => match fault {
                Fault::Flaky(every, kind) => {
                    self.flaky(*at).set_kind(*kind);
                    self.flaky(*at).arm(When::Every(*every));
                }
                Fault::Hangs => self.tiers[*at].hang(),
                Fault::Full(room) => self.flaky(*at).inner().set_room(*room),
            },
            Step::Heal(at) => self.heal(*at),
        }
    }

    fn flaky(&self, at: usize) -> &Flaky<Full<cache_memory::MemoryStore>> {
        self.tiers[at].inner()
    }

    fn heal(&self, at: usize) {
        self.tiers[at].release();
        self.flaky(at).arm(When::Never);
        self.flaky(at).inner().release();
    }

    /// Whether it succeeded. One that tells of a loss has told it.
    async fn flush(&mut self) -> bool {
        let flushed = timeout(EVER, self.store.flush()).await.expect("a flush waits for ever");
        let Err(error) = flushed else {
            self.told = self.dropped();
            self.unflushed.clear();
            return true;
        };
        if error.to_line().contains("lost") {
            for may in self.may.values_mut() {
                may.insert(None);
            }
        }
        false
    }

    fn dropped(&self) -> u64 {
        self.store.metrics().tiers.iter().map(|(_, tier)| tier.as_tier.unwrap().dropped).sum()
    }

    async fn calls(&mut self, calls: &[(Operation, Option<u64>)]) {
        let degraded = self.store.metrics().degraded;
        let mut made = Vec::new();
        for (n, (operation, leaves)) in calls.iter().enumerate() {
            let key = key(&n.to_string());
            let value = Bytes::from(format!("{:08} {}", self.puts, "x".repeat(value_len(*operation))));
            self.puts += 1;
            let call = call(self.store.clone(), key.clone(), *operation, value.clone());
            let limit = leaves.map_or(EVER, Duration::from_millis);
            let operation = *operation;
            made.push(async move {
                let answer = timeout(limit, call).await;
                assert!(answer.is_ok() || limit < EVER, "{operation:?} waits for ever");
                (key, operation, value, answer.ok())
            });
        }
        let answers = join_all(made).await;
        let is_degraded = self.store.metrics().degraded > degraded;
        // What a tier has lost, and will tell, it cannot keep for a put that fails.
        let has_lost = self.dropped() > self.told;
        for (key, operation, value, answer) in answers {
            let may = self.may.get_mut(&key).unwrap();
            if matches!(operation, Operation::Put { .. }) {
                self.unflushed.insert(key.clone());
            }
            // Both tiers that are written behind may have lost it, and the one that evicts may have evicted it.
            if has_lost && self.unflushed.contains(&key) {
                may.insert(None);
            }
            match (operation, answer) {
                (Operation::Put { .. }, Some(Ok(Answer::Done))) => *may = HashSet::from([Some(value)]),
                (Operation::Put { .. }, _) => {
                    may.insert(Some(value));
                    if has_lost {
                        may.insert(None);
                    }
                }
                (Operation::Evict, Some(Ok(_))) => *may = HashSet::from([None]),
                (Operation::Evict, _) => _ = may.insert(None),
                (_, Some(Ok(Answer::Value(found)))) => {
                    let is_passing = found.is_none() && is_degraded;
                    assert!(may.contains(&found) || is_passing, "{operation:?}: {found:?}, not {may:?}");
                }
                (_, Some(Ok(Answer::Is(there)))) => {
                    assert!(may.iter().any(|value| value.is_some() == there), "{operation:?}: {there}");
                }
                (_, Some(Ok(Answer::Done)) | Some(Err(_)) | None) => {}
            }
        }
    }

    /// Everything is well again, and stays so.
    async fn end(&mut self) {
        (0..3).for_each(|at| self.heal(at));
        sleep(Duration::from_secs(60)).await;
        // One may tell what was lost before.
        let flushed = self.flush().await || self.flush().await;
        assert!(flushed, "a flush fails although nothing else does: {:?}", self.store.flush().await);
        for (key, may) in &self.may {
            let found = timeout(EVER, self.store.get_bytes(key, &BlobName::DATA)).await.unwrap().unwrap();
            assert!(may.contains(&found), "{found:?}, not {may:?}");
            let mut below = HashSet::new();
            for tier in &self.tiers[1..] {
                below.insert(tier.get_bytes(key, &BlobName::DATA).await.unwrap());
            }
            for value in &below {
                assert!(value.is_none() || may.contains(value), "below is {value:?}, not {may:?}");
            }
            let is_lost = below.iter().all(Option::is_none) && !may.contains(&None);
            assert!(!is_lost, "flushed, and in no tier but the one that evicts: {may:?}");
        }
        let report = timeout(EVER, self.store.close(None)).await.expect("a close waits for ever").unwrap();
        assert_eq!(report.left, 0);
    }
}

fn value_len(operation: Operation) -> usize {
    match operation {
        Operation::Put { bytes, .. } => usize::from(bytes),
        _ => 0,
    }
}

enum Answer {
    Done,
    Value(Option<Bytes>),
    Is(bool),
}

fn call(
    store: LayeredStore,
    key: Key,
    operation: Operation,
    value: Bytes,
) -> BoxFuture<'static, Result<Answer>> {
    async move {
        Ok(match operation {
            Operation::Put { streams, .. } => {
                let half = value.len() / 2;
                let pieces = [Ok(value.slice(..half)), Ok(value.slice(half..))];
                let entry = if streams {
                    PutEntry::default().with_stream(BlobName::DATA, None, stream::iter(pieces).boxed())
                } else {
                    PutEntry::data(value)
                };
                let outcome = store.put(&key, entry, PutOptions::default()).await?;
                assert!(outcome.is_stored(), "{outcome:?}");
                Answer::Done
            }
            Operation::Evict => {
                store.evict(&key).await?;
                Answer::Done
            }
            Operation::Get { streamed } => {
                let mut options = GetOptions::default();
                if streamed {
                    options = options.with_stream_above(0);
                }
                Answer::Value(match store.get(&key, &BlobName::DATA, options).await? {
                    Some(blob) => Some(blob.collect(u64::MAX).await?),
                    None => None,
                })
            }
            Operation::GetEntry => {
                let entry = store.get_entry(&key, GetOptions::default()).await?;
                Answer::Value(match entry.and_then(|mut entry| entry.take(&BlobName::DATA)) {
                    Some(blob) => Some(blob.collect(u64::MAX).await?),
                    None => None,
                })
            }
            Operation::Contains => Answer::Is(store.contains(&key).await?),
            Operation::Meta => Answer::Is(store.meta(&key).await?.is_some()),
        })
    }
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_flushed_is_lost_no_value_is_wrong_and_nobody_waits_for_ever(
        roles in roles(),
        steps in vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let mut run = Run::new(&roles);
            for step in &steps {
                run.step(step).await;
            }
            run.end().await;
        });
    }
}
