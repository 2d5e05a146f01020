use super::*;

fn of(nanos: impl IntoIterator<Item = u64>) -> Latency {
    let recorder = LatencyRecorder::default();
    for nanos in nanos {
        recorder.record(Duration::from_nanos(nanos), 1);
    }
    recorder.snapshot()
}

#[track_caller]
fn check_error(nanos: u64) {
    let latency = of([nanos, u64::MAX]);
    let found = latency.quantile(0.5).unwrap().as_secs_f64() * 1e9;
    let off = (found - nanos as f64).abs() / nanos as f64;
    assert!(off <= 0.06, "{nanos} ns is answered as {found} ns, {:.1} % off", off * 100.0);
}

#[test]
fn quantile_of_any_duration_is_within_six_percent() {
    for power in 0..42 {
        for part in [0, 1, 3, 7, 11, 15] {
            let start = 1_u64 << power;
            check_error(start + start / 16 * part);
            check_error((start + start / 16 * part).saturating_sub(1).max(1));
        }
    }
    check_error(3600 * 1_000_000_000);
    check_error(2 * 3600 * 1_000_000_000);
}

#[test]
fn buckets_are_contiguous_and_hold_their_start() {
    for bucket in 0..BUCKETS {
        assert_eq!(bucket_of(start_of(bucket)), bucket);
        if bucket > 0 {
            assert_eq!(bucket_of(start_of(bucket) - 1), bucket - 1);
        }
    }
    assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
}

#[test]
fn quantiles_follow_the_ranks() {
    let latency = of((1..=100).map(|n| n * 1_000_000));
    for (q, expected) in [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (1.0, 100.0)] {
        let found = latency.quantile(q).unwrap().as_secs_f64() * 1e3;
        assert!((found - expected).abs() <= expected * 0.06, "quantile {q} is {found} ms, not {expected}");
    }
    assert_eq!(latency.quantile(1.0), Some(Duration::from_millis(100)));
    assert_eq!(latency.quantile(7.0), latency.quantile(1.0));
    assert_eq!(latency.quantile(-1.0), latency.quantile(0.0));
    assert!(latency.quantile(f64::NAN).is_some());
}

#[test]
fn empty_latency_has_no_figures() {
    let latency = of([]);
    assert_eq!(latency, Latency::default());
    assert!(latency.is_empty());
    assert_eq!((latency.count(), latency.mean()), (0, None));
    assert_eq!((latency.quantile(0.5), latency.max()), (None, None));
}

#[test]
fn mean_and_max_are_exact() {
    let latency = of([1_000, 2_001, 6_002]);
    assert_eq!(latency.count(), 3);
    assert_eq!(latency.mean(), Some(Duration::from_nanos(3_001)));
    assert_eq!(latency.max(), Some(Duration::from_nanos(6_002)));
    assert_eq!(of([1 << 20]).quantile(0.5), Some(Duration::from_nanos(1 << 20)), "no quantile is above it");
}

#[test]
fn a_duration_beyond_all_buckets_is_answered_as_the_longest() {
    let latency = of([1, u64::MAX / 2]);
    assert_eq!(latency.quantile(0.9), latency.max());
    let recorder = LatencyRecorder::default();
    recorder.record(Duration::MAX, 1);
    assert_eq!(recorder.snapshot().max(), Some(Duration::from_nanos(u64::MAX)));
}

#[test]
fn a_sampled_call_stands_for_many() {
    let recorder = LatencyRecorder::default();
    recorder.record(Duration::from_nanos(5), 64);
    recorder.record(Duration::from_nanos(500), 1);
    let latency = recorder.snapshot();
    assert_eq!(latency.count(), 65);
    assert_eq!(latency.quantile(0.9), Some(Duration::from_nanos(5)));
    assert_eq!(latency.mean(), Some(Duration::from_nanos((5 * 64 + 500) / 65)));
}

#[test]
fn since_leaves_what_was_timed_afterwards() {
    let recorder = LatencyRecorder::default();
    recorder.record(Duration::from_secs(10), 1);
    recorder.record(Duration::from_micros(3), 1);
    let baseline = recorder.snapshot();
    assert_eq!(baseline.since(&baseline), Latency::default());
    assert_eq!(baseline.since(&Latency::default()), baseline);
    recorder.record(Duration::from_micros(3), 1);
    recorder.record(Duration::from_micros(100), 1);
    let since = recorder.snapshot().since(&baseline);
    assert_eq!((since.count(), since.mean()), (2, Some(Duration::from_nanos(51_500))));
    let max = since.max().unwrap().as_nanos();
    assert!((100_000..=113_000).contains(&max), "{max} ns");
    recorder.record(Duration::from_secs(20), 1);
    assert_eq!(recorder.snapshot().since(&baseline).max(), Some(Duration::from_secs(20)));
}

#[test]
fn since_a_later_baseline_is_empty_and_no_overflow() {
    let (old, new) = (of([5]), of([5, 5, 700]));
    assert_eq!(old.since(&new), Latency::default());
}

#[test]
fn display_has_short_figures() {
    let check = |nanos: u64, expected: &str| {
        let text = of([nanos]).to_string();
        assert!(text.contains(&format!("max {expected} (1 calls)")), "{text}");
    };
    check(999, "999 ns");
    check(12_340, "12.3 us");
    check(3_000_000, "3 ms");
    check(1_250_000_000, "1.2 s");
    assert_eq!(of([7, 7]).to_string(), "p50 7 ns, p99 7 ns, max 7 ns (2 calls)");
}

#[test]
fn serde_form_is_a_map_of_microseconds() {
    let json = serde_json::to_value(of([2_500, 2_500])).unwrap();
    assert_eq!(json["count"], 2);
    assert_eq!(json["mean_us"], 2.5);
    assert_eq!(json["max_us"], 2.5);
    for field in ["p50_us", "p90_us", "p99_us"] {
        let found = json[field].as_f64().unwrap();
        assert!((found - 2.5).abs() < 0.16, "{field} is {found}");
    }
    let empty = serde_json::to_value(Latency::default()).unwrap();
    assert_eq!((&empty["count"], &empty["p50_us"]), (&0.into(), &serde_json::Value::Null));
}

#[test]
fn concurrent_records_are_all_counted() {
    let recorder = LatencyRecorder::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|n| recorder.record(Duration::from_nanos(n), 1)));
        }
    });
    let latency = recorder.snapshot();
    assert_eq!((latency.count(), latency.max()), (4000, Some(Duration::from_nanos(999))));
}
