//! What was found, as Markdown.

use std::{fmt::Write, time::Duration};

use cache_core::BreakerState;

use super::{
    DegradedArgs, Outcome, PAUSE,
    load::{Call, Done, Kind},
    server::Server,
    watch::{Phase, Sample},
};

/// A duration below which so much of the calls lie: sorted ones.
pub(crate) fn quantile(sorted: &[Duration], per_mille: usize) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((sorted.len() * per_mille / 1000).min(last)).copied()
}

pub(crate) fn sorted<'a>(calls: impl Iterator<Item = &'a Call>) -> Vec<Duration> {
    let mut took: Vec<_> = calls.map(|call| call.took).collect();
    took.sort_unstable();
    took
}

fn millis(duration: Option<Duration>) -> String {
    duration.map_or_else(String::new, |duration| format!("{:.3}", duration.as_secs_f64() * 1e3))
}

pub(crate) fn write(
    server: &Server,
    args: &DegradedArgs,
    phases: &[Phase],
    samples: &[Sample],
    done: &Done,
    outcome: &Outcome,
) -> String {
    let mut text = format!(
        "# A stack whose bucket is sick\n\n\
        Memory (4 MiB), a disk, and a bucket that is written behind, with a deadline of {} ms and a breaker that pauses for {} s; \
        the bucket is served by {server}, which is paused, killed and started again. {} tasks, each a call every 10 ms: \
        gets of what memory (50 %), the disk (25 %) and the bucket alone (5 %) hold, `get_or_compute` of what nobody has (8 %, computed within 2 ms), \
        puts of new values (12 %). Values have 4 KiB. Made by `cargo run --release -p cache-bench --example degraded`.\n\n",
        args.deadline,
        PAUSE.as_secs(),
        args.tasks,
    );
    let _ = writeln!(
        text,
        "**{} calls: {} errors, {} wrong values. {} puts acknowledged, {} of them not in the bucket in the end. All was flushed at attempt {}.**\n",
        done.calls.len(),
        done.errors.len(),
        done.wrong,
        outcome.acknowledged,
        outcome.lost,
        outcome.flushes,
    );
    let _ = writeln!(
        text,
        "What the server had was in memory, and lost when it was killed. Repair after the flush: {}.\n",
        outcome.repaired
    );
    text += &latencies(phases, done);
    text += &tiers(phases, samples);
    text + "![Latency over time](layered-degraded.svg)\n"
}

fn latencies(phases: &[Phase], done: &Done) -> String {
    let mut text = "Milliseconds; *not found* are gets of what lies in the bucket alone.\n\n\
        | phase | get p50 | p99 | max | get_or_compute p50 | p99 | max | put p50 | p99 | max | calls | not found |\n\
        |---|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for phase in phases {
        let within = || done.calls.iter().filter(|call| phase.has(call.at));
        let _ = write!(text, "| {} |", phase.name);
        for kind in [Kind::Get, Kind::Compute, Kind::Put] {
            let took = sorted(within().filter(|call| call.kind == kind));
            for figure in [quantile(&took, 500), quantile(&took, 990), took.last().copied()] {
                let _ = write!(text, " {} |", millis(figure));
            }
        }
        let missed = within().filter(|call| call.missed).count();
        let _ = writeln!(text, " {} | {missed} |", within().count());
    }
    text + "\n"
}

fn tiers(phases: &[Phase], samples: &[Sample]) -> String {
    let mut text = "| phase | hits: memory | disk | bucket | failures | timeouts | not asked | breaker opened | breaker | most queued | dropped |\n\
        |---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for phase in phases {
        let _ = write!(text, "| {} |", phase.name);
        for (_, tier) in &phase.counted.tiers {
            let _ = write!(text, " {} |", tier.hits);
        }
        let bucket = phase.bucket();
        let within = || samples.iter().filter(|sample| phase.has(sample.at));
        let states = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];
        let seen: Vec<_> = states
            .iter()
            .filter(|state| within().any(|sample| sample.breaker == **state))
            .map(|state| state.as_str())
            .collect();
        let most = within().map(|sample| sample.queued).max().unwrap_or(0);
        let _ = writeln!(
            text,
            " {} | {} | {} | {} | {} | {most} | {} |",
            bucket.failures,
            bucket.timeouts,
            bucket.skipped,
            bucket.opened,
            seen.join(", "),
            bucket.dropped
        );
    }
    text + "\n"
}
