use crate::{
    failure::Result,
    harness::threads::on_threads,
    heap::HeapCounters,
    subject::{Capacity, Limit, Subject},
    workload::keys::{digests, value},
};

/// Threads that put at the same time.
pub(crate) const THREADS: usize = 8;

/// Values that are put until they have been several times the budget.
#[derive(Debug)]
pub(crate) struct Peak {
    pub(crate) title: &'static str,
    /// Bytes of the values, in turn.
    sizes: &'static [(usize, usize)],
    /// Megabytes of the budget.
    budget: usize,
}

pub(crate) const PEAKS: &[Peak] = &[
    Peak { title: "values of 1 KiB", sizes: &[(1024, 1)], budget: 64 },
    Peak { title: "values of 64 KiB", sizes: &[(64 << 10, 1)], budget: 64 },
    Peak { title: "1 KiB with bursts of 4 MiB", sizes: &[(1024, 1024), (4 << 20, 2)], budget: 256 },
];

pub(crate) fn find(scenario: usize) -> Result<&'static Peak> {
    PEAKS.get(scenario).ok_or_else(|| format!("there is no scenario {scenario}").into())
}

impl Peak {
    fn budget(&self, quick: bool) -> usize {
        (self.budget << 20) / if quick { 8 } else { 1 }
    }

    fn value_bytes(&self) -> impl Iterator<Item = usize> + Clone {
        let runs = self.sizes.iter().map(|(bytes, times)| std::iter::repeat_n(*bytes, *times));
        runs.flatten().cycle()
    }

    /// What may be on its way in while the cache is full: one value of each thread, as a share of the budget.
    pub(crate) fn in_flight(&self, quick: bool) -> f64 {
        let largest = self.sizes.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
        (THREADS * largest) as f64 / self.budget(quick) as f64
    }

    pub(crate) fn capacity(&self, quick: bool) -> Capacity {
        let smallest = self.sizes.iter().map(|(bytes, _)| *bytes).min().unwrap_or(1);
        Capacity { limit: Limit::Bytes(self.budget(quick)), entries: self.budget(quick) / smallest }
    }

    /// The heap's peak and what is left of it, as shares of the budget, beyond what was there before the cache.
    pub(crate) fn count<S: Subject>(
        &self,
        make: impl Fn() -> Result<S>,
        counters: &HeapCounters,
        quick: bool,
    ) -> Result<Vec<f64>> {
        let budget = self.budget(quick);
        let each: Vec<usize> = self
            .value_bytes()
            .scan(4 * budget / THREADS, |left, bytes| {
                *left = left.checked_sub(bytes)?;
                Some(bytes)
            })
            .collect();
        let shares: Vec<_> = (1..).take(THREADS).map(|seed| digests(each.len(), seed)).collect();
        let before = (counters.allocated)();
        let subject = make()?;
        on_threads(&shares, async |_, digests: &Vec<_>| {
            for (digest, bytes) in digests.iter().zip(&each) {
                subject.put(*digest, value(*bytes)).await;
            }
        })?;
        let share = |bytes: usize| bytes.saturating_sub(before) as f64 / budget as f64;
        Ok(vec![share((counters.peak)()), share((counters.allocated)())])
    }
}
