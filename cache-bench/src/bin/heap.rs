//! Answers how much memory a contender takes: a process of its own, whose allocator counts.

use std::{alloc::System, process::ExitCode};

use cache_bench::{HeapCounters, HeapQuestion, answer};
use cap::Cap;
use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: Cap<&StatsAlloc<System>> = Cap::new(&INSTRUMENTED_SYSTEM, usize::MAX);

fn main() -> ExitCode {
    let counters = HeapCounters {
        allocations: || {
            let stats = INSTRUMENTED_SYSTEM.stats();
            stats.allocations + stats.reallocations
        },
        allocated: || HEAP.allocated(),
        peak: || HEAP.max_allocated(),
    };
    match answer(&HeapQuestion::parse(), &counters) {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
