use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::AtomicBool,
    thread,
    time::Duration,
};

use cache_core::{Handover, ListOptions, PutEntry, PutOptions, Store};
use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{MemoryStore, slot::Held};

mod stress;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn engine(policy: Policy, max_bytes: Option<u64>, max_entries: Option<u64>) -> Engine {
    let options = MemoryOptions::unlimited().with_policy(policy);
    Engine::with_shards(&options.with_max_bytes(max_bytes).with_max_entries(max_entries), 4)
}

fn key(n: u8) -> Key {
    Key::from(Digest::of([n]))
}

fn name(text: &str) -> BlobName {
    BlobName::new(text).unwrap()
}

/// Puts as the store does: what has to go goes.
fn put_at(engine: &Engine, key: &Key, blob: &str, bytes: Bytes, mode: PutMode) -> Result<Vec<Key>, Refusal> {
    let mut blobs = Blobs::default();
    blobs.insert(name(blob), Held { bytes, created: NOW });
    let mut put = Put { key, blobs, mode, now: NOW, reserved: 0 };
    let mut gone = Vec::new();
    loop {
        match engine.attempt(&mut put) {
            Attempt::Stored(_) => return Ok(gone),
            Attempt::Refused(refusal) => {
                if mode != PutMode::Fill {
                    engine.remove(key, |_| true);
                }
                return Err(refusal);
            }
            Attempt::NeedsRoom(_) => {
                let victim = engine.evict_next(key).expect("something to evict");
                gone.push(victim.key());
            }
            Attempt::Closed => panic!("closed"),
        }
    }
}

fn put(engine: &Engine, n: u8, bytes: usize) -> Result<Vec<Key>, Refusal> {
    put_at(engine, &key(n), "data", vec![n; bytes].into(), PutMode::Replace)
}

fn has(engine: &Engine, n: u8) -> bool {
    engine.look(&key(n), |_| ()).is_some()
}

fn read(engine: &Engine, n: u8) -> bool {
    engine.hit(key(n).view(), &BlobName::DATA, 1).is_some()
}

#[test]
fn an_entry_as_large_as_the_budget_takes_all_of_it() {
    for policy in [Policy::TinyLfu, Policy::Lru, Policy::Lfu] {
        let engine = engine(policy, Some(100), None);
        for n in 0..10 {
            put(&engine, n, 10).unwrap();
        }
        put(&engine, 20, 100).unwrap();
        assert!((0..10).all(|n| !has(&engine, n)) && has(&engine, 20));
        assert_eq!(put(&engine, 20, 101), Err(Refusal::OverBudget));
        assert_eq!((engine.total().bytes(), engine.total().entries()), (0, 0));
    }
}

#[test]
fn an_unread_entry_goes_before_one_that_was_read_wherever_they_lie() {
    for policy in [Policy::TinyLfu, Policy::Lru, Policy::Lfu] {
        for protected in 0..8 {
            let engine = engine(policy, None, Some(8));
            for n in 0..8 {
                put(&engine, n, 1).unwrap();
            }
            assert!(read(&engine, protected));
            for n in 8..12 {
                assert!(!put(&engine, n, 1).unwrap().contains(&key(protected)), "{policy} {protected} {n}");
            }
        }
    }
}

/// Another put has taken the room, was interrupted, and shows nothing yet.
#[test]
fn a_put_waits_for_one_that_is_about_to_show_what_can_go() {
    let store = MemoryStore::open(MemoryOptions::unlimited().with_max_bytes(100)).unwrap();
    let (engine, size) = (&store.0.engine, crate::account::Size::of(100, 0));
    let (holds, held) = std::sync::mpsc::channel();
    let outcome = thread::scope(|scope| {
        scope.spawn(move || {
            let lane = lane_of(engine, 1).write();
            engine.account.exchange(None, size, 0).unwrap();
            holds.send(()).unwrap();
            thread::sleep(Duration::from_millis(200));
            engine.account.remove(size);
            drop(lane);
        });
        held.recv().unwrap();
        let other = (2..).map(key).find(|key| !std::ptr::eq(engine.lane(&key.digest), lane_of(engine, 1)));
        let entry = PutEntry::data(vec![7; 100]);
        let other = other.unwrap();
        store.put(&other, entry, PutOptions::default()).now_or_never().unwrap().unwrap()
    });
    assert!(outcome.is_stored(), "{outcome:?}");
}

fn lane_of(engine: &Engine, n: u8) -> &Lane {
    engine.lane(&key(n).digest)
}

#[test]
fn reserved_bytes_are_not_given_twice() {
    let engine = engine(Policy::default(), Some(100), None);
    assert_eq!((engine.reserve(70), engine.reserve(40)), (Ok(()), Err(10)));
    assert_eq!(put(&engine, 1, 40), Err(Refusal::NoRoom));
    engine.release(70);
    put(&engine, 1, 40).unwrap();
}

#[test]
fn a_reservation_never_takes_the_older_value_of_its_key() {
    let engine = engine(Policy::default(), Some(100), None);
    put(&engine, 1, 40).unwrap();
    put(&engine, 2, 40).unwrap();
    assert!(engine.reserve(50) == Err(30) && engine.could_reserve(50, &key(1)));
    assert_eq!(engine.evict_next(&key(1)).unwrap().key(), key(2));
    assert_eq!(engine.reserve(50), Ok(()));
    assert!(engine.evict_next(&key(1)).is_none() && !engine.could_reserve(50, &key(1)));
    assert!(has(&engine, 1));
}

#[test]
fn bookkeeping_counts_where_there_is_much_of_it() {
    let max = 1 << 20;
    let engine = engine(Policy::default(), Some(max), None);
    for n in 0..20_000_u64 {
        let key = Key::from(Digest::of(n.to_be_bytes()));
        put_at(&engine, &key, "data", vec![0; 10].into(), PutMode::Replace).unwrap();
    }
    let total = engine.total();
    let taken = total.bytes() + total.entries() * crate::account::ENTRY_BYTES;
    let room = max + crate::account::FREE_BYTES;
    assert!(taken <= room && taken + 1_000 > room, "{taken} of {room}");
}

#[test]
fn a_store_that_is_listed_makes_room_for_its_index() {
    let engine = engine(Policy::default(), Some(1 << 20), None);
    let put = |n: u64| {
        let key = Key::from(Digest::of(n.to_be_bytes()));
        put_at(&engine, &key, "data", vec![0; 10].into(), PutMode::Replace).unwrap()
    };
    (0..10_000).for_each(|n| _ = put(n));
    let before = engine.total().entries();
    engine.page(&ListOptions::default(), None);
    assert_eq!(engine.total().entries(), before, "a listing evicts nothing");
    assert!(put(10_000).len() > 100, "the next put does");
}

#[test]
fn a_victim_that_is_handed_on_is_nobody_elses() {
    let engine = engine(Policy::default(), None, Some(2));
    put(&engine, 1, 1).unwrap();
    put(&engine, 2, 1).unwrap();
    let mut first = engine.leave_next(&key(9)).unwrap();
    let second = engine.leave_next(&key(9)).unwrap();
    assert_ne!(first.victim().unwrap().meta.key, second.key());
    assert!(engine.leave_next(&key(9)).is_none() && engine.is_handing_over());
    assert!(read(&engine, 1) && read(&engine, 2), "readable until it is taken");
    drop(second);
    assert!(engine.leave_next(&key(9)).is_some(), "one that stays can be chosen again");
    let gone = first.settle(Handover::Taken).unwrap();
    assert_eq!(gone.key(), key(1));
    assert!(!engine.is_handing_over() && engine.total().entries() == 1);
}

#[test]
fn a_victim_that_was_replaced_meanwhile_stays() {
    let engine = engine(Policy::default(), None, Some(1));
    put(&engine, 1, 1).unwrap();
    let leaving = engine.leave_next(&key(9)).unwrap();
    put(&engine, 1, 2).unwrap();
    assert!(leaving.settle(Handover::Taken).is_none());
    assert_eq!(engine.total().bytes(), 2);
    assert_eq!(put(&engine, 2, 1).unwrap(), [key(1)], "and can go like any other");
}

#[test]
fn namespaces_without_entries_are_forgotten() {
    let engine = engine(Policy::default(), None, Some(10));
    for n in 0..100 {
        let space = Namespace::root().child(format!("n{n}")).unwrap();
        put_at(&engine, &Key::new(space, Digest::of("x")), "data", "x".into(), PutMode::Replace).unwrap();
    }
    assert_eq!(engine.spaces.len(), 10);
    engine.close();
    assert_eq!(engine.usage(&Namespace::root()).entries, 0);
}

#[test]
fn namespaces_of_refused_puts_are_forgotten() {
    let engine = engine(Policy::default(), Some(100), Some(1));
    let of = |n: u8| Key::new(Namespace::root().child(format!("n{n}")).unwrap(), Digest::of("x"));
    let put = |n, bytes: usize| put_at(&engine, &of(n), "data", vec![0; bytes].into(), PutMode::Replace);
    for n in 0..100 {
        assert_eq!(put(n, 101), Err(Refusal::OverBudget));
    }
    assert_eq!(engine.spaces.len(), 0);
    put(1, 10).unwrap();
    assert_eq!(put(1, 20), Ok(Vec::new()), "replaced");
    assert_eq!(engine.spaces.len(), 1);
    put_at(&engine, &of(1), "data", "".into(), PutMode::Fill).unwrap();
    put(2, 10).unwrap();
    assert_eq!(engine.spaces.len(), 1);
    engine.close();
    assert_eq!(engine.spaces.len(), 0);
}

/// Whoever puts, removes, is refused or lists meanwhile.
#[test]
fn namespaces_come_and_go_beside_each_other() {
    let engine = engine(Policy::Lru, Some(200), None);
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let engine = &engine;
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..5_000 {
                    let at = Key::new(space(random.u8(1..5)), Digest::of([random.u8(0..2)]));
                    match random.u8(0..6) {
                        0..2 => {
                            engine.remove(&at, |_| true);
                        }
                        2 => _ = engine.page(&ListOptions::default().recursive(), None),
                        3 => _ = put_at(engine, &at, "data", vec![0; 300].into(), PutMode::Fill),
                        _ => _ = put_at(engine, &at, "data", vec![0; 2].into(), PutMode::Replace),
                    }
                }
            });
        }
    });
    check_accounts(&engine);
    let listed = listed(&engine, &ListOptions::default().recursive());
    assert_eq!(listed.len() as u64, engine.total().entries(), "an entry of a forgotten namespace");
    for key in listed {
        engine.remove(&key, |_| true);
    }
    assert_eq!(engine.spaces.len(), 0);
}

/// A replacement is neither two entries nor none.
#[test]
fn usage_beside_replacements_is_of_one_entry() {
    let engine = engine(Policy::default(), Some(100), None);
    put(&engine, 1, 100).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let usage = engine.usage(&Namespace::root());
                assert_eq!((usage.entries, usage.bytes), (1, 100));
            }
        });
        for _ in 0..100_000 {
            put(&engine, 1, 100).unwrap();
            if watch.is_finished() {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });
}

#[test]
fn a_slow_put_makes_no_entry_older() {
    let engine = engine(Policy::default(), None, None);
    put(&engine, 1, 10).unwrap();
    let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    engine.hit(key(1).view(), &BlobName::DATA, crate::clock::nanos(second)).unwrap();
    // It began before that read.
    put(&engine, 1, 20).unwrap();
    assert_eq!(engine.look(&key(1), |slot| slot.meta().last_accessed), Some(Some(second)));
}

#[test]
fn readers_at_once_count_every_hit() {
    let engine = engine(Policy::default(), Some(1000), None);
    put(&engine, 1, 10).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..20_000).for_each(|_| assert!(read(&engine, 1))));
        }
    });
    assert_eq!(engine.hits_so_far(), (160_000, 1_600_000));
    assert_eq!(engine.look(&key(1), |slot| slot.meta().access_count), Some(Some(160_000)));
}

/// What is asked of the account is asked before anything is kept.
#[test]
fn the_bound_holds_at_every_instant_beside_many_writers() {
    for policy in [Policy::TinyLfu, Policy::Lru, Policy::Lfu] {
        let engine = Engine::new(&MemoryOptions::unlimited().with_policy(policy).with_max_bytes(10_000));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let total = engine.total();
                    assert!(total.bytes() + total.reserved() <= 10_000);
                }
            });
            let writers: Vec<_> = (0..4_u64)
                .map(|writer| {
                    let engine = &engine;
                    scope.spawn(move || {
                        let mut random = fastrand::Rng::with_seed(writer);
                        for _ in 0..3_000 {
                            let n = random.u8(0..40);
                            match random.u8(0..8) {
                                0 => drop(engine.remove(&key(n), |_| true)),
                                1 => _ = read(engine, n),
                                2 if engine.reserve(500).is_ok() => engine.release(500),
                                _ => {
                                    let mut blobs = Blobs::default();
                                    let bytes = vec![n; random.usize(0..4_000)].into();
                                    blobs.insert(BlobName::DATA, Held { bytes, created: NOW });
                                    let key = key(n);
                                    let mut put = Put {
                                        key: &key,
                                        blobs,
                                        mode: PutMode::Replace,
                                        now: NOW,
                                        reserved: 0,
                                    };
                                    while matches!(engine.attempt(&mut put), Attempt::NeedsRoom(_)) {
                                        engine.evict_next(&key);
                                    }
                                }
                            }
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            stop.store(true, Ordering::Relaxed);
            watch.join().unwrap();
        });
        check_accounts(&engine);
    }
}

/// What the account, the namespaces and the ranks say is what is there.
fn check_accounts(engine: &Engine) {
    let entries = engine.scope(&Namespace::root());
    let bytes: u64 = entries.iter().map(|meta| meta.bytes.unwrap()).sum();
    assert_eq!((engine.total().bytes(), engine.total().entries()), (bytes, entries.len() as u64));
    assert_eq!(engine.account.entries(), entries.len() as u64);
    let usage = engine.usage(&Namespace::root());
    assert_eq!((usage.bytes, usage.entries), (bytes, entries.len() as u64));
    for (lane, rank) in engine.lanes.iter().zip(&engine.ranks) {
        let shard = lane.read();
        assert_eq!(rank.load(Ordering::Relaxed) == u64::MAX, shard.iter().next().is_none());
        shard.check();
    }
}

fn space(n: u8) -> Namespace {
    let spaces = ["", "a", "a-b", "a/x", "b"];
    spaces[usize::from(n) % spaces.len()].parse().unwrap()
}

fn listed(engine: &Engine, options: &ListOptions) -> Vec<Key> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let (page, resume) = engine.page(options, after.as_ref());
        keys.extend(page.into_iter().map(|meta| meta.key));
        match resume {
            Some(_) if options.limit.is_none_or(|limit| keys.len() < limit) => after = resume,
            _ => return keys,
        }
    }
}

proptest! {
    /// The accounting is the sum of what is resident, and within the budget, after any sequence.
    #[test]
    fn accounting_equals_the_resident_sizes(
        policy in prop::sample::select(vec![Policy::TinyLfu, Policy::Lru, Policy::Lfu]),
        steps in prop::collection::vec((0..6_u8, 0..8_u8, 0..2_usize, 0..120_usize), 1..80)
    ) {
        let engine = engine(policy, Some(200), Some(5));
        let mut reserved = Vec::new();
        for (step, n, blob, bytes) in steps {
            match step {
                0..3 => {
                    let mode = [PutMode::Replace, PutMode::Merge, PutMode::Fill][usize::from(step)];
                    let bytes = vec![n; bytes].into();
                    let stored = put_at(&engine, &key(n), ["data", "stdout"][blob], bytes, mode).is_ok();
                    prop_assert!(!stored || has(&engine, n), "evicted by its own put");
                }
                3 => drop(engine.remove(&key(n), |_| true)),
                4 if engine.reserve(bytes as u64).is_ok() => reserved.push(bytes as u64),
                _ => {
                    if let Some(bytes) = reserved.pop() {
                        engine.release(bytes);
                    }
                    read(&engine, n);
                }
            }
            let total = engine.total();
            prop_assert_eq!(total.reserved(), reserved.iter().sum::<u64>());
            prop_assert!(total.bytes() + total.reserved() <= 200 && total.entries() <= 5);
            check_accounts(&engine);
        }
    }

    /// Across shards, to the entry.
    #[test]
    fn lru_evicts_in_the_order_of_last_use(steps in prop::collection::vec((any::<bool>(), 0..20_u8), 1..200)) {
        let engine = engine(Policy::Lru, None, Some(6));
        let mut model = VecDeque::new();
        for (puts, n) in steps {
            let known = model.iter().position(|other| *other == n);
            if puts {
                known.map(|at| model.remove(at));
                let expected = if model.len() == 6 { model.pop_front() } else { None };
                prop_assert_eq!(put(&engine, n, 1).unwrap(), expected.map(key).into_iter().collect::<Vec<_>>());
                model.push_back(n);
            } else {
                prop_assert_eq!(read(&engine, n), known.is_some());
                if let Some(at) = known {
                    model.remove(at);
                    model.push_back(n);
                }
            }
        }
    }

    /// Listings agree with a sorted map, whenever the shards were indexed.
    #[test]
    fn listings_agree_with_a_map(
        steps in prop::collection::vec((0..4_u8, 0..60_u8, 0..5_u8), 1..150),
        asked in prop::collection::vec((0..5_u8, any::<bool>(), 0..3_usize, 0..60_u8, 1..9_usize), 1..6)
    ) {
        let engine = engine(Policy::default(), None, Some(1_000));
        let mut map = BTreeMap::new();
        let mut questions = asked.into_iter().cycle();
        for (step, n, in_space) in steps {
            let at = Key::new(space(in_space), Digest::of([n]));
            match step {
                0 => {
                    engine.remove(&at, |_| true);
                    map.remove(&at);
                }
                1 => {
                    let (in_space, recursive, form, after, limit) = questions.next().unwrap();
                    let mut options = ListOptions::of(&space(in_space));
                    options.recursive = recursive;
                    match form {
                        0 => {}
                        1 => options.prefix = Some(Digest::of([after]).prefix(1)),
                        _ => options.start_after = Some(Key::new(space(after), Digest::of([after]))),
                    }
                    let expected: Vec<_> = map.keys().filter(|key| options.admits(key)).cloned().collect();
                    prop_assert_eq!(listed(&engine, &options), &expected[..]);
                    let first = listed(&engine, &options.with_limit(limit));
                    prop_assert_eq!(&first[..], &expected[..limit.min(expected.len())]);
                }
                _ => {
                    put_at(&engine, &at, "data", vec![n; 3].into(), PutMode::Replace).unwrap();
                    map.insert(at, n);
                }
            }
        }
        check_accounts(&engine);
    }
}
