use super::*;
use crate::Error;

#[test]
fn four_outcomes_of_a_read_are_told_apart() {
    let counters = Counters::default();
    counters.read(&Ok(Some(7_u64)), |bytes| *bytes);
    counters.read::<u64>(&Ok(None), |_| 0);
    counters.read::<u64>(&Err(Error::corrupt("")), |_| 0);
    counters.read::<u64>(&Err(Error::invalid("")), |_| 0);
    let metrics = counters.snapshot();
    assert_eq!((metrics.hits, metrics.misses, metrics.errors, metrics.corrupt), (1, 2, 1, 1));
    assert_eq!((metrics.lookups(), metrics.bytes_out), (3, 7));
}

#[test]
fn hit_rate_is_between_zero_and_one() {
    assert_eq!(Metrics::default().hit_rate(), 0.0);
    assert_eq!(Metrics { hits: 3, misses: 1, ..Metrics::default() }.hit_rate(), 0.75);
}

#[test]
fn display_labels_every_figure() {
    let disk = Metrics { hits: 1, misses: 2, ..Metrics::default() };
    let metrics = Metrics {
        hits: 2,
        misses: 1,
        evicted_bytes: 2048,
        resident_bytes: Some(3 << 20),
        entries: Some(5),
        tiers: vec![("disk".into(), disk)],
        ..Metrics::default()
    };
    let text = metrics.to_string();
    for line in [
        "lookups:         3 (2 hits, 1 misses)",
        "hit rate:        66.7 %",
        "evictions:       0 (2.0 KiB)",
        "entries:         5",
        "resident:        3.0 MiB",
        "disk:",
        "  hit rate:        33.3 %",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn a_baseline_resets_the_view_of_every_tier() {
    let now = Metrics {
        hits: 5,
        entries: Some(2),
        tiers: vec![("disk".into(), Metrics { misses: 4, ..Metrics::default() })],
        ..Metrics::default()
    };
    let since = now.since(&now);
    assert_eq!((since.hits, since.entries), (0, Some(2)));
    assert_eq!(since.tiers[0].1.misses, 0);
    assert_eq!(now.since(&Metrics::default()), now);
}
