//! What a power cut leaves of a database: images of crashes at every moment of a recorded workload are opened, and
//! compared with what was asked for.
//!
//! `CACHE_REDB_LONG=1` tries five times as many. A failure names its workload and the image.

mod history;
mod images;
mod workload;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use cache_core::{Namespace, PutOptions, Store};

pub(super) use self::workload::held;
use self::{
    history::{History, State},
    images::Image,
    workload::Workload,
};
use super::{block_on, bytes, entry, is_long, key, open, open_as, options, rows};
use crate::{
    RedbOptions,
    medium::Medium,
    memory_medium::{Logged, MemoryMedium, Pages},
};

/// What was done to the medium, and what was asked of the store.
struct Recorded {
    before: Pages,
    log: Vec<Logged>,
    history: History,
}

/// So many operations of a store, which begins empty.
fn record(seed: u64, steps: usize, cache_bytes: usize, options: RedbOptions, history: History) -> Recorded {
    block_on(async {
        let medium = MemoryMedium::new().with_cache_bytes(cache_bytes);
        let store = open_as(&medium, options).await.unwrap();
        store.flush().await.unwrap();
        let before = medium.pages();
        medium.record();
        let mut workload = Workload::new(store.clone(), medium.clone(), history, seed);
        for step in 0..steps {
            workload.step(step % 16 == 3).await;
        }
        workload.flush().await;
        store.close(None).await.unwrap();
        Recorded { before, log: medium.take_record(), history: workload.history }
    })
}

/// What is wrong with the image of a crash.
async fn examine(image: &Image, history: &History) -> Result<(), String> {
    let medium = MemoryMedium::of(image.pages.clone());
    let store = open(&medium).await.map_err(|error| format!("it cannot be opened: {}", error.to_line()))?;
    if medium.aside().is_some() {
        return Err("it was set aside".into());
    }
    let found = held(&store).await?;
    history.check(image.after, &found)?;
    let usage = store.usage(&Namespace::root()).await.map_err(|error| error.to_line())?;
    let held: usize = found.values().flat_map(|contents| contents.values()).map(bytes::Bytes::len).sum();
    if (usage.entries, usage.bytes) != (found.len() as u64, held as u64) {
        return Err(format!("{usage:?} is told of {} entries with {held} bytes", found.len()));
    }
    // It works on, and what it does then is as durable.
    if image.way == 0 {
        let (key, contents) = (key("new", 1), [("data".parse().unwrap(), bytes(1, 5_000))].into());
        store.put(&key, entry(&contents), PutOptions::default()).await.map_err(|error| error.to_line())?;
        store.flush().await.map_err(|error| error.to_line())?;
        medium.crash();
        let again = open(&medium).await.map_err(|error| format!("a second time: {}", error.to_line()))?;
        let mut expected = found;
        expected.insert(key, contents);
        if self::held(&again).await? != expected {
            return Err("what was flushed after the crash is lost in the next one".into());
        }
        again.close(None).await.map_err(|error| error.to_line())?;
    }
    store.close(None).await.map_err(|error| error.to_line())?;
    drop(store);
    let database = medium.open().map_err(|fault| fault.error().to_line())?;
    rows::check(&database)
}

/// Looks at about so many images of crashes, and says which are wrong.
fn try_images(name: &str, recorded: &Recorded, wanted: usize) -> usize {
    let wrong = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    let tried = images::visit(&recorded.log, &recorded.before, wanted, |image| {
        let outcome = block_on(examine(image, &recorded.history));
        if let Err(why) = outcome
            && count.fetch_add(1, Ordering::Relaxed) < 10
        {
            wrong.lock().unwrap().push(format!("image {}.{}: {why}", image.after, image.way));
        }
    });
    let (log, flushes, count) = (recorded.log.len(), recorded.history.flushes(), count.into_inner());
    println!(
        "redb {name}: {tried} points tried, images of crashes in {log} operations with {flushes} flushes"
    );
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{name}: {count} of {tried} images are wrong:\n{}", wrong.join("\n"));
    tried
}

fn times() -> usize {
    if is_long() { 5 } else { 1 }
}

#[test]
fn no_crash_costs_what_was_flushed_or_tears_anything() {
    // With little memory for pages much is written before a commit.
    let mut tried = 0;
    for (seed, cache_bytes) in [(1, 1 << 20), (2, 16 << 10), (3, 0)] {
        let recorded = record(seed, 60, cache_bytes, options(), History::default());
        tried += try_images(&format!("with {cache_bytes} bytes for pages"), &recorded, 6_500 * times());
    }
    let durable = options().with_durable_puts(true);
    let recorded = record(4, 40, 64 << 10, durable, History::default());
    tried += try_images("with durable puts", &recorded, 2_000 * times());
    assert!(tried >= 20_000 * times(), "{tried} images are too few");
}

#[test]
fn no_crash_under_a_budget_costs_what_was_kept_or_tears_anything() {
    let mut tried = 0;
    let budgets = [options().with_max_bytes(150_000), options().with_max_entries(9)];
    for (seed, budget) in (5..).zip(budgets) {
        let recorded = record(seed, 60, 64 << 10, budget, History::of_evicting());
        tried += try_images("under a budget", &recorded, 2_500 * times());
    }
    assert!(tried >= 4_500 * times(), "{tried} images are too few");
}

/// A database that is being made is nothing yet that a crash must not cost, but the next open succeeds.
#[test]
fn no_crash_of_the_first_open_hinders_the_next_one() {
    let log = block_on(async {
        let medium = MemoryMedium::new();
        medium.record();
        let store = open(&medium).await.unwrap();
        store.close(None).await.unwrap();
        medium.take_record()
    });
    let recorded = Recorded { before: Pages::default(), log, history: History::default() };
    try_images("while it is made", &recorded, 500 * times());
}

/// A crash while the database recovers from a crash.
#[test]
fn no_crash_of_a_recovery_costs_anything() {
    let recorded = record(7, 40, 64 << 10, options(), History::default());
    let moments = if is_long() { 60 } else { 12 };
    let mut tried = 0;
    for moment in 1..=moments {
        let after = recorded.log.len() * moment / (moments + 1);
        let mut pages = recorded.before.clone();
        recorded.log[..after].iter().for_each(|logged| logged.apply(&mut pages));
        let medium = MemoryMedium::of(pages.clone());
        medium.record();
        let found: State = block_on(async {
            let store = open(&medium).await.unwrap();
            let found = held(&store).await.unwrap();
            store.close(None).await.unwrap();
            found
        });
        // From now on this is what there is.
        let mut history = History::default();
        let all = found.into_iter().map(|(key, contents)| (key, Some(contents))).collect();
        history.changed(0, all);
        history.flushed(0, 0);
        let recovery = Recorded { before: pages, log: medium.take_record(), history };
        if !recovery.log.is_empty() {
            tried += try_images("in a recovery", &recovery, 100);
        }
    }
    assert!(tried >= moments * 50, "{tried} images are too few");
}
