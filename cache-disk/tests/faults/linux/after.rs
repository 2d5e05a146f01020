//! What a store holds after its process died, or the power failed: against what its worker told.

use std::{collections::BTreeSet, path::Path};

use cache_core::{BlobName, KeyManagement};
use cache_core::{ErrorKind, GetOptions, ListOptions, Namespace, PutEntry, Store, StoreExt, Usage};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;

use super::{
    model::{Known, Model, Past},
    perform::state,
    script::{Script, Step, key},
    tree,
    value::{value, version},
    verdict::Verdict,
};

/// What the worker's log says. Lines from `certain` on may tell of what happened after the end: each step
/// that was begun in them may have happened or not.
pub(crate) fn told(script: &Script, log: &str, certain: usize) -> (Model, Verdict) {
    let mut model = Model::new(script);
    let mut verdict = Verdict::default();
    let mut begun: Option<u64> = None;
    for (at, line) in log.lines().enumerate() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = || rest.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        let mut step = |number: u64, known: Known| {
            if let Some(step) = script.steps.get(usize::try_from(number).unwrap()) {
                model.step(number, step, if at < certain { known } else { Known::Perhaps });
            }
        };
        match what {
            "b" => begun = Some(number()),
            "d" => {
                step(number(), Known::Done);
                begun = None;
            }
            "r" => {
                step(number(), Known::Refused);
                begun = None;
            }
            "e" => {
                step(number(), Known::Perhaps);
                begun = None;
            }
            "x" => {
                let mut numbers = rest.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap());
                let (key, version) = (numbers.next().unwrap(), numbers.next().unwrap());
                let put = Step::Put {
                    key: u32::try_from(key).unwrap(),
                    mode: cache_core::PutMode::Replace,
                    blobs: vec![("data", 700)],
                    streamed: false,
                };
                model.step(version, &put, Known::Done);
            }
            // What fails after the power does fails rightly.
            "w" if at < certain => verdict.broken.push(rest.to_owned()),
            _ => {}
        }
    }
    if let Some(number) = begun
        && let Some(step) = script.steps.get(usize::try_from(number).unwrap())
    {
        model.step(number, step, Known::Perhaps);
    }
    (model, verdict)
}

/// Opens the store again and looks at everything.
pub(crate) fn look(dir: &Path, script: &Script, model: &Model, past: Past) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut verdict = Verdict::default();
    if let Err(what) = runtime.block_on(look_at(dir, script, model, past, &mut verdict)) {
        verdict.broken.push(what);
    }
    drop(runtime);
    verdict.leaked.extend(tree::leaked(dir));
    verdict
}

async fn look_at(
    dir: &Path,
    script: &Script,
    model: &Model,
    past: Past,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let options = DiskOptions::new(dir).with_max_bytes(script.budget);
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: cache_core::Error| format!("{what} after it: {error}")
    };
    let store = DiskStore::open(options).await.map_err(failed("open"))?;
    let mut there = BTreeSet::new();
    for number in model.keys() {
        let found = match store.get_entry(&key(number), GetOptions::default()).await {
            Ok(None) => None,
            Ok(Some(found)) => match state(number, found).await.map_err(failed("get_entry"))? {
                Ok(found) => Some(found),
                Err(wrong) => {
                    verdict.torn.push(wrong);
                    continue;
                }
            },
            Err(error) if error.kind() == ErrorKind::Corrupt && model.is_damaged(number, past) => None,
            Err(error) => {
                verdict.lost.push(format!("key {number}: {error}"));
                continue;
            }
        };
        if found.is_some() {
            there.insert(key(number));
        }
        if !model.allows(number, past, |state| *state == found) {
            let list = if found.is_none() { &mut verdict.lost } else { &mut verdict.torn };
            list.push(format!("key {number}: found {found:?}, which is none of what may be there"));
        }
    }
    // With a budget, opening may have begun an eviction: a flush sees to its end.
    works(&store, script.budget, verdict).await.map_err(failed("a fresh put"))?;
    let listed: Vec<_> =
        store.list(ListOptions::below(&Namespace::root())).try_collect().await.map_err(failed("list"))?;
    let mut sum = Usage::default();
    for meta in listed {
        sum.add(meta.counted_bytes(), meta.stored_bytes);
        if !there.remove(&meta.key) {
            verdict.torn.push(format!("{} is listed and cannot be read", meta.key));
        }
    }
    for key in there {
        if script.budget.is_some() && !store.contains(&key).await.map_err(failed("contains"))? {
            continue;
        }
        verdict.lost.push(format!("{key} is read and not listed"));
    }
    let usage = store.usage(&Namespace::root()).await.map_err(failed("usage"))?;
    if (usage.entries, usage.bytes) != (sum.entries, sum.bytes) {
        verdict.broken.push(format!("usage tells {usage:?}, the list {sum:?}"));
    }
    store.close(None).await.map_err(failed("close"))?;
    Ok(())
}

/// The store is as good as new.
async fn works(store: &DiskStore, budget: Option<u64>, verdict: &mut Verdict) -> cache_core::Result<()> {
    const FRESH: u32 = 500;
    let bytes = value(FRESH, "data", 1, 5000);
    store.put(&key(FRESH), PutEntry::data(bytes), Default::default()).await?;
    let found = store.get_bytes(&key(FRESH), &BlobName::DATA).await?;
    if found.and_then(|bytes| version(FRESH, "data", &bytes)) != Some(1) {
        verdict.broken.push("a fresh put is not read back".into());
    }
    store.flush().await?;
    if let Some(budget) = budget {
        let held = store.usage(&Namespace::root()).await?.bytes;
        if held > budget {
            verdict.broken.push(format!("{held} bytes are held after a flush, and {budget} may be"));
        }
    }
    store.evict(&key(FRESH)).await
}
