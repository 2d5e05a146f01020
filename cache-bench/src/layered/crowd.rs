use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache_core::{BlobName, Digest, GetOptions, Hooked, Key, PutEntry, PutOptions, Store};
use cache_layered::LayeredStore;
use cache_memory::{MemoryOptions, MemoryStore};
use tokio::task::JoinSet;

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
    layered::slow::Wait,
    workload::keys::{digests, value},
};

pub(crate) const BENCH: Bench = Bench {
    name: "crowd",
    title: "Many readers of one blob in a slow tier",
    setting: "A blob of 64 KiB lies in the second of two tiers, which answers 50 ms later. 1,000 tasks read it through the stack at once, or one alone does; each round with a blob of its own. The time to the last \
              answer, and how often the second tier was asked for it.",
    run,
};

const ALONE: &str = "1 reader";
const CROWD: &str = "1,000 readers";

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let crowd = scale.pick(1000, 50);
    let mut seed = 0;
    let mut contenders = [(ALONE, 1), (CROWD, crowd)].map(|(name, readers)| {
        Contender::new(name, Kind::Ours, move |digest: &Digest| runtime()?.block_on(read(*digest, readers)))
    });
    let input = || {
        seed += 1;
        digests(1, seed).first().copied().unwrap_or_else(|| Digest::of("one"))
    };
    let runs = interleave(scale, input, &mut contenders)?;
    Ok(vec![
        Measurement::of("The last answer", "ms", &runs, 0).ratio("L4", CROWD, ALONE, Bound::AtMost(1.2)),
        Measurement::of("Fetches", "", &runs, 1).figure("L4, fetches", CROWD, Bound::AtMost(1.0)),
    ])
}

async fn read(digest: Digest, readers: usize) -> Result<Vec<f64>> {
    let memory = || MemoryStore::open(MemoryOptions::unlimited());
    let (wait, second, key) = (Wait::of(Duration::from_millis(50)), memory()?, Key::from(digest));
    second.put(&key, PutEntry::data(value(64 << 10)), PutOptions::default()).await?;
    let slow = Hooked::new(second, Arc::new(wait.clone()));
    let builder = LayeredStore::builder().tier("first", Arc::new(memory()?)).tier("second", Arc::new(slow));
    let store = Arc::new(builder.build()?);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..readers {
        let (store, key) = (Arc::clone(&store), key.clone());
        tasks.spawn(async move { store.get(&key, &BlobName::DATA, GetOptions::default()).await });
    }
    for read in tasks.join_all().await {
        read?.ok_or("a read missed")?;
    }
    let took = begun.elapsed();
    store.close(None).await?;
    Ok(vec![took.as_secs_f64() * 1e3, f64::from(u32::try_from(wait.reads())?)])
}
