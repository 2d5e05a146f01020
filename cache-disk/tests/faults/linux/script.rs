//! What a worker does, step by step.

use std::collections::BTreeSet;

use cache_core::{Digest, Key, Namespace, PutMode};

use super::value::LEAST;

/// Keys from here on lie in a namespace of their own, which is cleaned as a whole.
pub(crate) const SCRATCH: u32 = 1000;

pub(crate) fn scratch() -> Namespace {
    Namespace::root().child("scratch").unwrap()
}

pub(crate) fn key(number: u32) -> Key {
    let namespace = if number < SCRATCH { Namespace::root() } else { scratch() };
    Key::new(namespace, Digest::of(format!("key {number}")))
}

pub(crate) type Blobs = Vec<(&'static str, usize)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Closes the store if it is open.
    Open,
    Put {
        key: u32,
        mode: PutMode,
        blobs: Blobs,
        streamed: bool,
    },
    Evict(u32),
    Get {
        key: u32,
        blob: &'static str,
        streamed: bool,
    },
    GetEntry(u32),
    Contains(u32),
    Meta(u32),
    List,
    Usage,
    /// Everything in the scratch namespace.
    CleanScratch,
    /// The least recent entries, down to so many bytes.
    CleanTo(u64),
    Flush,
    /// Changes a stored byte behind the store's back.
    Damage(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) budget: Option<u64>,
}

impl Script {
    /// By the name that a worker is told.
    pub(crate) fn named(name: &str) -> Self {
        let (kind, seed) = name.split_once('-').unwrap_or((name, "0"));
        let seed = seed.parse().unwrap();
        let (steps, budget) = match kind {
            "plain" => (plain(), None),
            "bounded" => (bounded(), Some(300_000)),
            "random" => (random(seed, 60, 8), None),
            "unflushed" => (random(seed, 200, 0), None),
            "flushed" => (random(seed, 200, 12), None),
            "ending" => {
                let mut steps = random(seed, 40, 12);
                steps.push(Step::Flush);
                (steps, None)
            }
            "limited" => (random(seed, 200, 12), Some(400_000)),
            _ => panic!("no script {name}"),
        };
        Self { name: name.to_owned(), steps, budget }
    }

    /// The steps that open, put, get, evict, clean or flush, and are the first to do that in their way:
    pub(crate) fn first_of_each_kind(&self) -> BTreeSet<u64> {
        let (mut kinds, mut there, mut first) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (number, step) in (0..).zip(&self.steps) {
            let kind = match step {
                Step::Put { key, mode, blobs, streamed } => {
                    let refused = blobs.iter().map(|(_, len)| *len as u64).sum::<u64>()
                        > self.budget.unwrap_or(u64::MAX);
                    format!("put {mode:?} {streamed} {} {refused}", !there.insert(*key))
                }
                Step::Get { key, streamed, .. } => format!("get {streamed} {}", there.contains(key)),
                Step::Evict(key) => format!("evict {}", there.remove(key)),
                Step::GetEntry(_) => "get entry".to_owned(),
                Step::Open | Step::CleanScratch | Step::CleanTo(_) | Step::Flush => format!("{step:?}"),
                Step::Contains(_) | Step::Meta(_) | Step::List | Step::Usage | Step::Damage(_) => continue,
            };
            if kinds.insert(kind) {
                first.insert(number);
            }
        }
        first
    }
}

fn put(key: u32, blobs: &[(&'static str, usize)]) -> Step {
    Step::Put { key, mode: PutMode::Replace, blobs: blobs.to_vec(), streamed: false }
}

fn streamed(key: u32, blobs: &[(&'static str, usize)]) -> Step {
    Step::Put { key, mode: PutMode::Replace, blobs: blobs.to_vec(), streamed: true }
}

fn mixed(key: u32, mode: PutMode, blobs: &[(&'static str, usize)]) -> Step {
    Step::Put { key, mode, blobs: blobs.to_vec(), streamed: false }
}

fn get(key: u32) -> Step {
    Step::Get { key, blob: "data", streamed: false }
}

/// Every operation, over nothing and over an entry that is there, without a budget.
fn plain() -> Vec<Step> {
    use PutMode::{Fill, Merge};
    vec![
        Step::Open,
        put(1, &[("data", 3000)]),
        put(2, &[("data", 70_000), ("a", 500)]),
        streamed(3, &[("data", 300_000)]),
        put(6, &[("data", 5000)]),
        Step::Flush,
        get(1),
        Step::GetEntry(2),
        put(1, &[("data", 4000)]),
        mixed(2, Merge, &[("b", 100), ("a", 600)]),
        mixed(2, Fill, &[("a", 50), ("c", 50)]),
        mixed(4, Merge, &[("x", 64), ("y", 64)]),
        mixed(7, Fill, &[("x", 64)]),
        streamed(3, &[("data", 100_000), ("meta", 64)]),
        Step::Contains(1),
        Step::Meta(2),
        Step::List,
        Step::Usage,
        Step::Get { key: 3, blob: "data", streamed: true },
        get(99),
        Step::Evict(1),
        Step::Evict(98),
        put(SCRATCH, &[("data", 900)]),
        put(SCRATCH + 1, &[("data", 900), ("b", 40)]),
        Step::Flush,
        Step::Damage(6),
        get(6),
        put(6, &[("data", 6000)]),
        put(1, &[("data", 2000)]),
        put(SCRATCH + 2, &[("data", 900)]),
        Step::CleanScratch,
        Step::Flush,
        put(5, &[("data", 1234)]),
        get(5),
        Step::Flush,
        Step::Open,
        get(5),
        put(5, &[("data", 4321)]),
        put(8, &[("data", 100)]),
        get(8),
        Step::Flush,
        get(8),
    ]
}

/// More than the budget holds, again and again.
fn bounded() -> Vec<Step> {
    let mut steps = vec![Step::Open];
    for number in 0..24 {
        steps.push(put(number % 17, &[("data", 20_000 + 1000 * number as usize), ("b", 100)]));
        match number {
            7 | 15 => steps.push(Step::Flush),
            9 => steps.push(put(50, &[("data", 400_000)])),
            11 => steps.push(streamed(51, &[("data", 400_000)])),
            13 => steps.extend([Step::Flush, Step::Open]),
            18 => steps.push(Step::CleanTo(100_000)),
            n if n % 3 == 0 => steps.push(get(number / 2)),
            _ => {}
        }
    }
    let overgrown = mixed(16, PutMode::Merge, &[("c", 290_000)]);
    steps.extend([Step::Flush, overgrown, put(60, &[("data", 290_000)]), Step::Flush, Step::Usage]);
    steps.extend([put(61, &[("data", 500)]), get(61), Step::Flush]);
    steps
}

/// `count` steps, a flush in `per_hundred` of them.
fn random(seed: u64, count: usize, per_hundred: u32) -> Vec<Step> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut steps = vec![Step::Open];
    const NAMES: [&str; 4] = ["data", "a", "b", "meta"];
    while steps.len() < count {
        let key = if random.u8(..8) == 0 { SCRATCH + random.u32(..4) } else { random.u32(..12) };
        if random.u32(..100) < per_hundred {
            steps.push(Step::Flush);
            continue;
        }
        steps.push(match random.u8(..20) {
            0..14 => {
                let blobs = (0..random.usize(1..=3))
                    .map(|n| {
                        let most = if random.u8(..6) == 0 { 90_000 } else { 9000 };
                        (NAMES[n], random.usize(LEAST..most))
                    })
                    .collect();
                let mode =
                    [PutMode::Replace, PutMode::Replace, PutMode::Merge, PutMode::Fill][random.usize(..4)];
                Step::Put { key, mode, blobs, streamed: random.u8(..5) == 0 }
            }
            14 | 15 => Step::Evict(key),
            16 => Step::CleanScratch,
            17 => Step::GetEntry(key),
            _ => get(key),
        });
    }
    steps
}
