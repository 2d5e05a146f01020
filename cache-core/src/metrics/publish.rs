use ::metrics::{counter, gauge};

use crate::{BreakerState, Metrics};

/// What is told of each histogram; 1 is the longest of all.
const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("1", 1.0)];

impl Metrics {
    /// Hands this snapshot and those of all tiers to the recorder of the [`metrics`](::metrics) crate.
    ///
    /// Each counter is `cache_<name>_total`, each figure of what is held now a gauge `cache_<name>`,
    /// each quantile of a latency a gauge such as `cache_get_latency_seconds` in seconds, with a label
    /// `quantile`. All have the labels `cache`, as given, and `tier`: empty at the top, below it the
    /// names on the way down, joined by `/`.
    ///
    /// Counters are set, never added to: publish as often as you like, but whole snapshots and not
    /// differences ([`since`](Self::since)), and reset nothing in between: a recorder ignores a counter that
    /// goes back, until it has come as far again.
    ///
    /// ```
    /// # async fn run(cache: cache_core::Cache) {
    /// cache.metrics().publish("objects");
    /// # }
    /// # let _ = run;
    /// ```
    pub fn publish(&self, cache: &str) {
        self.publish_tier(cache, "");
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn publish_tier(&self, cache: &str, tier: &str) {
        let labels = [("cache", cache.to_owned()), ("tier", tier.to_owned())];
        for (name, total) in self.totals() {
            counter!(name, &labels).absolute(total);
        }
        let held = [("cache_resident_bytes", self.resident_bytes), ("cache_entries", self.entries)];
        for (name, figure) in held {
            if let Some(figure) = figure {
                gauge!(name, &labels).set(figure as f64);
            }
        }
        for (name, latency) in self.latencies() {
            for (label, q) in QUANTILES {
                if let Some(duration) = latency.quantile(q) {
                    let [cache, tier] = labels.clone();
                    let labels = [cache, tier, ("quantile", label.to_owned())];
                    gauge!(name, &labels).set(duration.as_secs_f64());
                }
            }
        }
        if let Some(of_tier) = &self.as_tier {
            for (name, total) in of_tier.totals() {
                counter!(name, &labels).absolute(total);
            }
            let now = [
                ("cache_tier_queued_entries", of_tier.queued_entries),
                ("cache_tier_queued_bytes", of_tier.queued_bytes),
                ("cache_tier_breaker_open", u64::from(of_tier.breaker != BreakerState::Closed)),
            ];
            for (name, figure) in now {
                gauge!(name, &labels).set(figure as f64);
            }
        }
        for (name, below) in &self.tiers {
            let tier = if tier.is_empty() { name.to_string() } else { format!("{tier}/{name}") };
            below.publish_tier(cache, &tier);
        }
    }
}

#[cfg(test)]
mod tests;
