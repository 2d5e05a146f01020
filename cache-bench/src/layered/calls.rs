use std::{rc::Rc, sync::Arc, time::Instant};

use bytes::Bytes;
use cache_core::{BlobName, Digest, GetOptions, Key, PutEntry, PutOptions, Store};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::{LayeredStore, Promotion, TierOptions, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use tokio::runtime::Runtime;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        threads::runtime,
        verdict::Bound,
    },
    workload::keys::{digests, value},
};

pub(crate) const BENCH: Bench = Bench {
    name: "calls",
    title: "Calls through a stack, and of the tier alone",
    setting: "Values of 1 KiB, one task; the mean of 2,000 calls a round. A miss asks memory twice, or once. A hit in the second tier is one on the disk, below memory that takes no copies. \
              A put goes through memory to the disk, or into memory and behind that to a second one; keys are new in each round, and a flush between rounds is not timed.",
    run,
};

const VALUE_BYTES: usize = 1024;

type Stores = Vec<(&'static str, Arc<dyn Store>)>;

fn memory() -> Result<Arc<dyn Store>> {
    Ok(Arc::new(MemoryStore::open(MemoryOptions::unlimited())?))
}

fn stack(first: TierOptions, second: Arc<dyn Store>, role: TierOptions) -> Result<Arc<dyn Store>> {
    let builder = LayeredStore::builder().tier("first", memory()?).options(first);
    Ok(Arc::new(builder.tier("second", second).options(role).build()?))
}

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let runtime = Rc::new(runtime()?);
    let disk = || -> Result<_> {
        let dir = tempfile::tempdir()?;
        let store: Arc<dyn Store> =
            Arc::new(runtime.block_on(DiskStore::open(DiskOptions::new(dir.path())))?);
        Ok((dir, store))
    };
    let role = TierOptions::default;
    let misses: Stores = vec![("memory", memory()?), ("memory + memory", stack(role(), memory()?, role())?)];
    let miss = measure(scale, &runtime, "A miss", &misses, get)?;
    let ((_a, bare), (_b, below)) = (disk()?, disk()?);
    let no_copies = role().with_promotion(Promotion::Never);
    let hits: Stores =
        vec![("disk", Arc::clone(&bare)), ("memory + disk", stack(no_copies, Arc::clone(&below), role())?)];
    let all = digests(scale.pick(2000, 50), 7);
    runtime.block_on(async {
        for (store, digest) in
            [&bare, &below].into_iter().flat_map(|store| all.iter().map(move |digest| (store, digest)))
        {
            put(Arc::clone(store), Key::from(*digest)).await?;
        }
        Result::Ok(())
    })?;
    let hit = compare(scale, &runtime, "A hit in the second tier", &hits, find, || all.clone())?;
    if let Some((_, stack)) = hits.last() {
        were_found_in_the_second_tier(stack.as_ref())?;
    }
    let ((_c, bare), (_d, below)) = (disk()?, disk()?);
    let puts: Stores = vec![("disk", bare), ("memory + disk", stack(role(), below, role())?)];
    let through = measure(scale, &runtime, "A put through", &puts, put)?;
    let behind = role().with_write(WritePolicy::Behind).with_queue_bytes(1 << 30);
    let puts: Stores =
        vec![("memory", memory()?), ("memory, memory behind", stack(role(), memory()?, behind)?)];
    let behind = measure(scale, &runtime, "A put, written behind", &puts, put)?;
    Ok(vec![
        miss,
        hit.ratio("second tier", "memory + disk", "disk", Bound::AtMost(1.15)),
        through.ratio("put through", "memory + disk", "disk", Bound::AtMost(1.15)),
        behind,
    ])
}

async fn get(store: Arc<dyn Store>, key: Key) -> Result<()> {
    store.get(&key, &BlobName::DATA, GetOptions::default()).await?;
    Ok(())
}

async fn find(store: Arc<dyn Store>, key: Key) -> Result<()> {
    store.get(&key, &BlobName::DATA, GetOptions::default()).await?.ok_or("a read missed")?;
    Ok(())
}

/// What is called a hit in the second tier has to be one, whatever is promoted by default.
fn were_found_in_the_second_tier(stack: &dyn Store) -> Result<()> {
    let metrics = stack.metrics();
    let in_tiers: Vec<_> = metrics.tiers.iter().map(|(_, tier)| tier.hits).collect();
    match in_tiers[..] {
        [0, second] if second > 0 && second == metrics.hits => Ok(()),
        _ => Err(format!("{} hits, in the tiers {in_tiers:?}", metrics.hits).into()),
    }
}

async fn put(store: Arc<dyn Store>, key: Key) -> Result<()> {
    let value: Bytes = value(VALUE_BYTES);
    store.put(&key, PutEntry::data(value), PutOptions::default()).await?;
    Ok(())
}

/// Each round over keys of its own.
fn measure<F: Future<Output = Result<()>> + 'static>(
    scale: &Scale,
    runtime: &Rc<Runtime>,
    title: &str,
    stores: &Stores,
    call: fn(Arc<dyn Store>, Key) -> F,
) -> Result<Measurement> {
    let (mut seed, calls) = (100, scale.pick(2000, 50));
    compare(scale, runtime, title, stores, call, || {
        seed += 1;
        digests(calls, seed)
    })
}

fn compare<F: Future<Output = Result<()>> + 'static>(
    scale: &Scale,
    runtime: &Rc<Runtime>,
    title: &str,
    stores: &Stores,
    call: fn(Arc<dyn Store>, Key) -> F,
    input: impl FnMut() -> Vec<Digest>,
) -> Result<Measurement> {
    let contender = |(name, store): &(&'static str, Arc<dyn Store>)| {
        let (runtime, store) = (Rc::clone(runtime), Arc::clone(store));
        Contender::new(*name, Kind::Ours, move |digests: &Vec<Digest>| {
            runtime.block_on(async {
                let begun = Instant::now();
                for digest in digests {
                    call(Arc::clone(&store), Key::from(*digest)).await?;
                }
                let took = begun.elapsed();
                store.flush().await?;
                Ok(vec![took.as_secs_f64() * 1e6 / f64::from(u32::try_from(digests.len())?)])
            })
        })
    };
    let runs = interleave(scale, input, &mut stores.iter().map(contender).collect::<Vec<_>>())?;
    Ok(Measurement::of(title, "µs", &runs, 0))
}
