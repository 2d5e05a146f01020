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

#[test]
fn computations_and_shared_answers_are_counted() {
    let counters = Counters::default();
    counters.compute(true);
    counters.compute(true);
    counters.compute(false);
    counters.coalesced();
    let metrics = counters.snapshot();
    assert_eq!((metrics.computes, metrics.compute_errors, metrics.coalesced), (2, 1, 1));
    let text = metrics.to_string();
    assert!(text.lines().any(|line| line == "computes:        2 (1 failed, 1 coalesced)"), "{text}");
}

#[test]
fn latencies_are_kept_apart_and_displayed_where_there_are_any() {
    let counters = Counters::default();
    counters.get_took(Duration::from_nanos(5));
    counters.get_sampled(Duration::from_nanos(5), 64);
    counters.put_took(Duration::from_nanos(7));
    let metrics = counters.snapshot();
    let counts = [&metrics.get_latency, &metrics.put_latency, &metrics.compute_latency].map(Latency::count);
    assert_eq!(counts, [65, 1, 0]);
    let text = metrics.to_string();
    for line in [
        "get latency:     p50 5 ns, p99 5 ns, max 5 ns (65 calls)",
        "put latency:     p50 7 ns, p99 7 ns, max 7 ns (1 calls)",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains("compute latency"), "{text}");
    counters.compute_took(Duration::from_nanos(6));
    let text = counters.snapshot().to_string();
    assert!(text.contains("compute latency: p50 6 ns"), "{text}");
}

#[test]
fn a_baseline_resets_latencies_too() {
    let counters = Counters::default();
    counters.get_took(Duration::from_secs(1));
    let before = counters.snapshot();
    assert_eq!(before.since(&before), Metrics::default());
    counters.get_took(Duration::from_nanos(3));
    let since = counters.snapshot().since(&before);
    assert_eq!(since.get_latency.quantile(0.99), Some(Duration::from_nanos(3)));
}

#[test]
fn serde_form_has_a_map_for_each_latency() {
    let json = serde_json::to_value(Metrics::default()).unwrap();
    for field in ["get_latency", "put_latency", "compute_latency"] {
        assert_eq!(json[field]["count"], 0, "{field}");
    }
    assert_eq!((&json["computes"], &json["coalesced"]), (&0.into(), &0.into()));
}

#[test]
fn baseline_reset_twice_counts_from_the_later_one() {
    let (counters, view) = (Counters::default(), Baseline::default());
    counters.hit(3);
    assert_eq!(view.apply(&counters.snapshot()).hits, 1);
    let early = counters.snapshot();
    view.reset(counters.snapshot());
    counters.hit(3);
    view.reset(counters.snapshot());
    assert_eq!(view.apply(&counters.snapshot()), Metrics::default());
    assert_eq!(view.apply(&early), Metrics::default());
    assert_eq!(counters.snapshot().hits, 2);
}

#[test]
fn each_answer_to_a_handover_is_counted_as_what_it_is() {
    let counters = Counters::default();
    for handover in [Handover::Taken, Handover::Known, Handover::Busy, Handover::Lost] {
        counters.handover(handover, 10);
    }
    let metrics = counters.snapshot();
    assert_eq!((metrics.evictions, metrics.evicted_bytes), (3, 30), "Busy stays");
    assert_eq!((metrics.spills, metrics.spill_errors), (1, 1));
}
