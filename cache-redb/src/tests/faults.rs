//! What lies below fails: at any operation, once or from then on, or it is full. Whatever was flushed before is there
//! afterwards, nobody waits for ever, and the store works on.
//!
//! The suite has failures that come once; here they last, too.

use std::time::Duration;

use cache_core::{
    CleanPolicy, Error, ErrorKind, GetOptions, KeyManagement, ListOptions, Namespace, PutMode, PutOptions,
    Result, Store,
};
use futures::TryStreamExt;
use tokio::time::timeout;

use super::{Contents, block_on, bytes, crash::held, entry, key, open, open_as, options, read, rows};
use crate::{
    RedbStore,
    medium::Medium,
    memory_medium::{MemoryMedium, Pages},
};

type State = std::collections::BTreeMap<cache_core::Key, Contents>;

/// What is asked of a store while what lies below fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Get,
    Stream,
    List,
    Usage,
    Put,
    PutLarge,
    Merge,
    Evict,
    Clean,
    Flush,
}

const ALL: [Ask; 10] = [
    Ask::Get,
    Ask::Stream,
    Ask::List,
    Ask::Usage,
    Ask::Put,
    Ask::PutLarge,
    Ask::Merge,
    Ask::Evict,
    Ask::Clean,
    Ask::Flush,
];

fn contents(seed: u64, len: usize) -> Contents {
    [("data".parse().unwrap(), bytes(seed, len)), ("log".parse().unwrap(), bytes(seed + 1, 30))].into()
}

/// The entry that all that is asked is about, and others.
fn state() -> State {
    let mut state: State = (1..8).map(|number| (key("a", number), contents(number, 900))).collect();
    state.insert(key("", 0), contents(20, 2_000));
    state.insert(key("", 1), contents(30, 400_000));
    state
}

fn filled(state: &State) -> Pages {
    block_on(async {
        let medium = MemoryMedium::new();
        let store = open(&medium).await.unwrap();
        for (key, contents) in state {
            store.put(key, entry(contents), PutOptions::default()).await.unwrap();
        }
        store.close(None).await.unwrap();
        medium.pages()
    })
}

/// Asks it, and gives the state after it, if it is done.
async fn ask(store: &RedbStore, ask: Ask, state: &State) -> Result<State> {
    let (small, large) = (key("", 0), key("", 1));
    let mut after = state.clone();
    match ask {
        Ask::Get => {
            let options = GetOptions::default();
            let found =
                store.get(&small, &"data".parse()?, options).await?.expect("a failure is told as a miss");
            assert_eq!(found.collect(u64::MAX).await?, state[&small]["data"]);
        }
        Ask::Stream => assert!(read(store, &large).await?.as_ref() == state.get(&large)),
        Ask::List => {
            let listed: Vec<_> = store.list(ListOptions::default().recursive()).try_collect().await?;
            assert_eq!(listed.len(), state.len(), "a failure is told as the end");
        }
        Ask::Usage => assert_eq!(store.usage(&Namespace::root()).await?.entries, state.len() as u64),
        Ask::Put | Ask::PutLarge | Ask::Merge => {
            let mut new = contents(40, if ask == Ask::PutLarge { 600_000 } else { 500 });
            let mode = if ask == Ask::Merge { PutMode::Merge } else { PutMode::Replace };
            let outcome = store.put(&small, entry(&new), PutOptions::mode(mode)).await?;
            assert!(outcome.is_stored());
            if ask == Ask::Merge {
                let mut merged = state[&small].clone();
                merged.append(&mut new);
                new = merged;
            }
            after.insert(small, new);
        }
        Ask::Evict => {
            store.evict(&small).await?;
            after.remove(&small);
        }
        Ask::Clean => {
            store.clean(&"a".parse()?, &CleanPolicy::default().with_max_bytes(0)).await?;
            after.retain(|key, _| key.namespace.is_root());
        }
        Ask::Flush => {
            let new = contents(50, 700);
            store.put(&small, entry(&new), PutOptions::default()).await?;
            after.insert(small, new);
            store.flush().await?;
        }
    }
    Ok(after)
}

/// Says whether an error may come of a failure below.
fn blames_what_is_below(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::NoSpace | ErrorKind::Denied
    )
}

/// Each entry is as it was or as it was to be.
fn is_between(found: &State, before: &State, after: &State) -> bool {
    let keys = before.keys().chain(after.keys()).chain(found.keys());
    keys.into_iter().all(|key| [before.get(key), after.get(key)].contains(&found.get(key)))
}

/// What is asked while the `nth` operation below fails. Whether there were so many.
async fn fails_at(nth: u64, lasting: bool, asked: Ask, state: &State, pages: &Pages) -> bool {
    let medium = MemoryMedium::of(pages.clone()).with_cache_bytes(0);
    let store = open_as(&medium, options().with_durable_puts(nth.is_multiple_of(2))).await.unwrap();
    store.flush().await.unwrap();
    let before = medium.operations();
    if lasting {
        medium.fail_from(nth);
    } else {
        medium.fail(nth);
    }
    let limit = Duration::from_secs(20);
    let answer = timeout(limit, ask(&store, asked, state)).await.expect("it waits for ever");
    // What else is asked meanwhile fails as well, or is answered.
    if lasting {
        let also = timeout(limit, read(&store, &key("", 1))).await.expect("another one waits for ever");
        assert!(also.as_ref().err().is_none_or(blames_what_is_below), "{:?}", also.err());
    }
    let failed = medium.operations() - before >= nth;
    medium.fail(0);
    assert!(failed || answer.is_ok(), "nothing failed, and it did: {answer:?}");
    assert!(answer.as_ref().err().is_none_or(blames_what_is_below), "{:?}", answer.err());
    let is_done = answer.is_ok();
    let intended = match answer {
        Ok(after) => after,
        Err(_) => {
            let fresh = MemoryMedium::of(pages.clone());
            ask(&open(&fresh).await.unwrap(), asked, state).await.unwrap()
        }
    };
    // What is lost of what was not flushed is told once.
    let flushed = store.flush().await;
    assert!(flushed.as_ref().err().is_none_or(blames_what_is_below), "{flushed:?}");
    let found = held(&store).await.unwrap();
    assert!(is_between(&found, state, &intended), "an entry is neither old nor new");
    assert!(
        !is_done || flushed.is_err() || found == intended,
        "what was acknowledged is lost, and nobody told"
    );
    let new = contents(60, 100);
    store.put(&key("new", 1), entry(&new), PutOptions::default()).await.unwrap();
    store.flush().await.unwrap();
    medium.crash();
    let again = open(&medium).await.unwrap();
    let mut expected = found;
    expected.insert(key("new", 1), new);
    assert!(held(&again).await.unwrap() == expected, "what was flushed is lost");
    again.close(None).await.unwrap();
    drop(again);
    assert_eq!(rows::check(&medium.open().unwrap()), Ok(()));
    assert!(medium.aside().is_none(), "a failure was taken for damage");
    failed
}

fn whatever_fails(lasting: bool) {
    let state = state();
    let pages = filled(&state);
    let mut tried = 0;
    for asked in ALL {
        for nth in 1.. {
            let failed = block_on(fails_at(nth, lasting, asked, &state, &pages));
            tried += 1;
            if !failed {
                assert!(nth > 1, "{asked:?} asks nothing of what lies below");
                break;
            }
            assert!(nth < 2_000, "{asked:?}: too many operations below");
        }
    }
    println!("redb failures below, lasting: {lasting}: {tried} points tried");
    assert!(tried > 200, "{tried} are few");
}

#[test]
fn a_failure_at_any_operation_below_costs_nothing_flushed() {
    whatever_fails(false);
}

#[test]
fn failures_from_any_operation_below_on_cost_nothing_flushed() {
    whatever_fails(true);
}

#[test]
fn a_full_medium_is_told_and_reads_go_on() {
    let state = state();
    let pages = filled(&state);
    block_on(async {
        let medium = MemoryMedium::of(pages).with_cache_bytes(0);
        let store = open_as(&medium, options().with_durable_puts(true)).await.unwrap();
        store.flush().await.unwrap();
        medium.fill_up(true);
        let mut held_then = state.clone();
        let error = loop {
            let (key, contents) = (key("more", held_then.len() as u64), contents(70, 200_000));
            match store.put(&key, entry(&contents), PutOptions::default()).await {
                Ok(_) => held_then.insert(key, contents),
                Err(error) => break error,
            };
            assert!(held_then.len() < 1_000, "it has room for anything");
        };
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{}", error.to_line());
        assert!(held(&store).await.unwrap() == held_then);
        medium.fill_up(false);
        _ = store.flush().await;
        let after = ask(&store, Ask::PutLarge, &held_then).await.unwrap();
        store.flush().await.unwrap();
        assert!(held(&store).await.unwrap() == after);
    });
}
