//! The command that runs sets of benchmarks.

use std::process::ExitCode;

use cache_bench::{Args, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cache-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
