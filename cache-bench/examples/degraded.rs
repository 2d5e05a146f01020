//! A stack of memory, disk and a bucket under load, while the server of the bucket is paused, killed and started again.
//!
//! ```sh
//! cargo run --release -p cache-bench --example degraded
//! cargo run --release -p cache-bench --example degraded -- --without-docker
//! ```
//!
//! The server runs in a container that is made from this program, or is a process of its own. Ends with a failure if a
//! caller got an error or a wrong value, or if a put that was acknowledged is not in the bucket in the end.

use std::process::ExitCode;

use cache_bench::{DegradedArgs, degraded, serve};
use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = serve(std::env::args().skip(1)) {
        return code;
    }
    match degraded(&DegradedArgs::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("degraded: {failure}");
            ExitCode::FAILURE
        }
    }
}
