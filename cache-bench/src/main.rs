//! The command that runs sets of benchmarks.

use std::process::ExitCode;

use cache_bench::{Args, run, serve};
use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = serve(std::env::args().skip(1)) {
        return code;
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("cache-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
