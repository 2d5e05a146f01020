use std::fmt;

use crate::{ByteSize, Metrics};

impl Metrics {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        let pad = " ".repeat(indent);
        let size = |bytes: u64| ByteSize::new(bytes).to_string();
        let rate = self.hit_rate() * 100.0;
        writeln!(
            f,
            "{pad}{:<16} {} ({} hits, {} misses)",
            "lookups:",
            self.lookups(),
            self.hits,
            self.misses
        )?;
        writeln!(f, "{pad}{:<16} {rate:.1} %", "hit rate:")?;
        writeln!(f, "{pad}{:<16} {} yes, {} no", "contains:", self.contains_hits, self.contains_misses)?;
        writeln!(
            f,
            "{pad}{:<16} {} ({} refused, {} failed)",
            "puts:", self.puts, self.refused_puts, self.put_errors
        )?;
        writeln!(f, "{pad}{:<16} {}", "removals:", self.removals)?;
        writeln!(f, "{pad}{:<16} {} ({})", "evictions:", self.evictions, size(self.evicted_bytes))?;
        writeln!(f, "{pad}{:<16} {} ({} lost)", "spills:", self.spills, self.spill_errors)?;
        writeln!(f, "{pad}{:<16} {} ({} failed)", "promotions:", self.promotions, self.promotion_errors)?;
        writeln!(
            f,
            "{pad}{:<16} {} ({} failed, {} coalesced)",
            "computes:", self.computes, self.compute_errors, self.coalesced
        )?;
        writeln!(f, "{pad}{:<16} {} ({} failed)", "flushes:", self.flushes, self.flush_errors)?;
        writeln!(
            f,
            "{pad}{:<16} {} ({} corrupt, {} mismatched, {} degraded)",
            "errors:", self.errors, self.corrupt, self.mismatches, self.degraded
        )?;
        writeln!(f, "{pad}{:<16} {} in, {} out", "bytes:", size(self.bytes_in), size(self.bytes_out))?;
        for (label, latency) in [
            ("get latency:", &self.get_latency),
            ("put latency:", &self.put_latency),
            ("compute latency:", &self.compute_latency),
        ] {
            if !latency.is_empty() {
                writeln!(f, "{pad}{label:<16} {latency}")?;
            }
        }
        if let Some(entries) = self.entries {
            writeln!(f, "{pad}{:<16} {entries}", "entries:")?;
        }
        if let Some(bytes) = self.resident_bytes {
            writeln!(f, "{pad}{:<16} {}", "resident:", size(bytes))?;
        }
        if let Some(tier) = &self.as_tier {
            tier.write(f, &pad)?;
        }
        for (name, tier) in &self.tiers {
            writeln!(f, "{pad}{name}:")?;
            tier.write(f, indent + 2)?;
        }
        Ok(())
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
