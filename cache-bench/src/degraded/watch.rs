//! What the stack tells of itself meanwhile.

use std::time::Duration;

use cache_core::{BreakerState, Cache, Metrics, TierMetrics};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, interval},
};

use super::load::Load;

/// One part of the run, and what was counted in it.
#[derive(Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) counted: Metrics,
}

impl Phase {
    pub(crate) async fn of(name: &'static str, cache: &Cache, load: &Load, lasts: Duration) -> Self {
        let (from, before) = (load.begun().elapsed(), cache.store().metrics());
        println!("{name}");
        tokio::time::sleep(lasts).await;
        let counted = cache.store().metrics().since(&before);
        Self { name, from, to: load.begun().elapsed(), counted }
    }

    pub(crate) fn has(&self, at: Duration) -> bool {
        (self.from..self.to).contains(&at)
    }

    /// What the stack says of the bucket.
    pub(crate) fn bucket(&self) -> TierMetrics {
        bucket(&self.counted)
    }
}

fn bucket(metrics: &Metrics) -> TierMetrics {
    let bucket = metrics.tiers.iter().find(|(name, _)| &**name == "bucket");
    bucket.and_then(|(_, tier)| tier.as_tier).unwrap_or_default()
}

/// How it stood with the bucket at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) breaker: BreakerState,
    pub(crate) queued: u64,
}

/// Looks again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    end: oneshot::Sender<()>,
    samples: JoinSet<Vec<Sample>>,
}

impl Watch {
    pub(crate) fn begin(cache: &Cache, begun: Instant) -> Self {
        let (end, mut ended) = oneshot::channel();
        let (store, mut samples) = (cache.store().clone(), JoinSet::new());
        samples.spawn(async move {
            let (mut taken, mut pace) = (Vec::new(), interval(Duration::from_millis(50)));
            while ended.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                pace.tick().await;
                let TierMetrics { breaker, queued_entries, .. } = bucket(&store.metrics());
                taken.push(Sample { at: begun.elapsed(), breaker, queued: queued_entries });
            }
            taken
        });
        Self { end, samples }
    }

    pub(crate) async fn end(self) -> Vec<Sample> {
        _ = self.end.send(());
        self.samples.join_all().await.into_iter().flatten().collect()
    }
}
