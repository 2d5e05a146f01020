//! Random operations against a model.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use cache_core::{GetOptions, Key};
use proptest::{collection::vec, prelude::any, sample::select};
use tokio::{
    runtime::Handle,
    task::{JoinSet, block_in_place},
};

use crate::{
    Factory, Setup,
    history::{Event, History, is_legal},
    model, run,
    sample::{Contents, blobs, bytes, key_in, name, namespace, size},
    subject::Subject,
};

/// Every answer to a random sequence of operations is that of a map.
pub async fn random_operations_agree_with_a_model(factory: &dyn Factory) {
    agree("random_operations_agree_with_a_model", factory, &Setup::default(), 0);
}

/// Under a budget a read is the value of the last put since the last evict, or a miss.
pub async fn random_operations_under_a_budget_agree_with_a_model(factory: &dyn Factory) {
    let setup = Setup::default().with_max_bytes(64 << 10);
    let Some(store) = Subject::open_bounded(factory, setup.clone()).await else { return };
    let added = store.added_bytes(&model::NAMES).await;
    store.close(None).await.expect("a close");
    drop(store);
    agree("random_operations_under_a_budget_agree_with_a_model", factory, &setup, added);
}

fn agree(clause: &str, factory: &dyn Factory, setup: &Setup, added: u64) {
    let patience = run::options().limit / 12;
    let number = std::cell::Cell::new(0);
    // The sequences come from code that does not await.
    let agreed = block_in_place(|| {
        model::search(clause, |steps| {
            number.set(number.get() + 1);
            Handle::current().block_on(model::replay(factory, (setup, added), number.get(), steps, patience))
        })
    });
    if let Err(found) = agreed {
        panic!("{found}");
    }
}

const TASKS: usize = 4;
const CALLS: usize = 14;

/// What tasks see of an entry is explained by one order of their operations.
pub async fn concurrent_histories_are_legal(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let until = Instant::now() + run::options().for_random();
    let calls =
        ["put", "put", "put", "evict", "evict", "get", "get", "get_now", "get_entry", "contains", "meta"];
    let tasks = vec(vec((0..2_usize, select(calls.to_vec()), any::<bool>()), CALLS), TASKS);
    let (cases, again) = model::draw("concurrent_histories_are_legal", &tasks);
    for (case, tasks) in cases.into_iter().enumerate() {
        // On a store that is slow, the first ones have to be enough.
        if Instant::now() > until {
            return;
        }
        let place = namespace(&format!("case {case}"));
        let entries = Arc::new([0, 1].map(|number| (key_in(&place, number), History::default())));
        let mut running = JoinSet::new();
        for (task, calls) in tasks.into_iter().enumerate() {
            let (store, entries) = (store.clone(), Arc::clone(&entries));
            running.spawn(async move {
                for (number, (entry, call, yields)) in calls.into_iter().enumerate() {
                    let (key, history) = &entries[entry];
                    let version = (task * CALLS + number) as u64;
                    history.record(task, call, operate(&store, key, call, version)).await;
                    if yields {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        while let Some(task) = running.join_next().await {
            task.unwrap_or_else(|error| panic!("a task panics\n{again}\n{error}"));
        }
        for (key, history) in Arc::into_inner(entries).expect("no task is left") {
            let operations = history.into_operations();
            if !is_legal(&operations) {
                let lines: Vec<_> = operations.iter().map(ToString::to_string).collect();
                panic!("no order of these operations on {key} explains them\n{}\n{again}", lines.join("\n"));
            }
        }
    }
}

/// Two blobs that tell by their bytes and lengths of which version they are.
fn version(number: u64) -> Contents {
    let len = 10 + usize::try_from(number).expect("a small number");
    blobs([("a", bytes(number, len)), ("b", bytes(number + 1000, len))])
}

async fn operate(store: &Subject, key: &Key, call: &str, number: u64) -> Option<Event> {
    let read = |blob: &Bytes| {
        let number = blob.len() as u64 - 10;
        assert!(*blob == version(number)["a"], "a read of {key} is of no version");
        number
    };
    Some(match call {
        "put" => {
            store.put_new(key, &version(number)).await;
            Event::Put(number)
        }
        "evict" => {
            store.evict(key).await.unwrap_or_else(|error| panic!("evict of {key} fails: {error}"));
            Event::Evict
        }
        "get" => Event::Read(store.read_as(key, &name("a"), GetOptions::default()).await.as_ref().map(read)),
        // What it does not tell is unknown.
        "get_now" => Event::Read(Some(store.get_now(key.view(), &name("a")).as_ref().map(read)?)),
        "get_entry" => Event::Read(store.contents(key).await.map(|blobs| {
            let number = read(&blobs["a"]);
            assert!(blobs == version(number), "get_entry of {key} mixes versions");
            number
        })),
        "contains" => Event::Exists(store.contains(key).await.expect("an answer")),
        _ => {
            let meta = store.meta(key).await.expect("an answer");
            let bytes = meta.map(|meta| meta.bytes.expect("meta knows the bytes"));
            Event::Read(bytes.map(|bytes| (bytes - size(&version(0))) / 2))
        }
    })
}
