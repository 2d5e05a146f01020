use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};

use super::*;
use crate::Counters;

/// Keeps each figure under its name and labels, as `name{label=value,..}`.
#[derive(Default)]
struct Kept(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Kept {
    fn slot(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.0.lock().unwrap().entry(name).or_default().clone()
    }

    fn get(&self, name: &str) -> Option<u64> {
        Some(self.0.lock().unwrap().get(name)?.load(Ordering::Relaxed))
    }

    fn gauge(&self, name: &str) -> Option<f64> {
        self.get(name).map(f64::from_bits)
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.slot(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.slot(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn published(metrics: &Metrics) -> Kept {
    let kept = Kept::default();
    with_local_recorder(&kept, || metrics.publish("objects"));
    kept
}

fn stack() -> Metrics {
    let disk = Metrics { misses: 7, ..Metrics::default() };
    let layered = Metrics { hits: 2, tiers: vec![("disk".into(), disk)], ..Metrics::default() };
    Metrics {
        hits: 3,
        bytes_out: 10,
        resident_bytes: Some(4096),
        tiers: vec![("layered".into(), layered)],
        ..Metrics::default()
    }
}

#[test]
fn counters_of_every_tier_are_published_under_its_path() {
    let kept = published(&stack());
    assert_eq!(kept.get("cache_hits_total{cache=objects,tier=}"), Some(3));
    assert_eq!(kept.get("cache_bytes_out_total{cache=objects,tier=}"), Some(10));
    assert_eq!(kept.get("cache_evicted_bytes_total{cache=objects,tier=}"), Some(0));
    assert_eq!(kept.get("cache_coalesced_total{cache=objects,tier=}"), Some(0));
    assert_eq!(kept.get("cache_hits_total{cache=objects,tier=layered}"), Some(2));
    assert_eq!(kept.get("cache_misses_total{cache=objects,tier=layered/disk}"), Some(7));
}

#[test]
fn counters_published_twice_are_set_and_not_added() {
    let kept = published(&stack());
    with_local_recorder(&kept, || stack().publish("objects"));
    assert_eq!(kept.get("cache_hits_total{cache=objects,tier=}"), Some(3));
}

#[test]
fn gauges_are_published_where_the_figure_is_known() {
    let kept = published(&stack());
    assert_eq!(kept.gauge("cache_resident_bytes{cache=objects,tier=}"), Some(4096.0));
    assert_eq!(kept.get("cache_entries{cache=objects,tier=}"), None);
    assert_eq!(kept.get("cache_resident_bytes{cache=objects,tier=layered}"), None);
}

#[test]
fn latency_quantiles_are_published_in_seconds() {
    let counters = Counters::default();
    counters.get_took(Duration::from_secs(3));
    let kept = published(&counters.snapshot());
    for quantile in ["0.5", "0.9", "0.99", "1"] {
        let name = format!("cache_get_latency_seconds{{cache=objects,tier=,quantile={quantile}}}");
        let seconds = kept.gauge(&name).unwrap();
        assert!((seconds - 3.0).abs() <= 0.18, "{name} is {seconds}");
    }
    assert_eq!(kept.get("cache_put_latency_seconds{cache=objects,tier=,quantile=0.5}"), None);
}
