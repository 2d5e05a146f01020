use bytes::Bytes;

use crate::{
    failure::Result,
    harness::threads::runtime,
    heap::HeapCounters,
    subject::{Capacity, Subject},
    workload::keys::{digests, value},
};

const VALUE_BYTES: usize = 1024;
const KEYS: usize = 100;
const READS: usize = 10_000;

pub(crate) fn capacity() -> Capacity {
    Capacity::for_all(KEYS, VALUE_BYTES)
}

/// Allocations per hit, and the share of hits that are other memory than what was put.
pub(crate) fn count<S: Subject>(subject: &S, counters: &HeapCounters) -> Result<Vec<f64>> {
    let values: Vec<_> = digests(KEYS, 1).into_iter().map(|digest| (digest, value(VALUE_BYTES))).collect();
    let hits = || values.iter().cycle().take(READS);
    runtime()?.block_on(async {
        for (digest, value) in &values {
            subject.put(*digest, value.clone()).await;
        }
        // Whatever is made once has been made after these.
        for (digest, _) in hits() {
            subject.get(digest).await.ok_or("a read missed")?;
        }
        let before = (counters.allocations)();
        let mut copies = 0;
        for (digest, value) in hits() {
            let found: Bytes = subject.get(digest).await.ok_or("a read missed")?;
            copies += usize::from(found.as_ptr() != value.as_ptr());
        }
        let allocations = (counters.allocations)() - before;
        Ok(vec![allocations as f64 / READS as f64, copies as f64 / READS as f64])
    })
}
