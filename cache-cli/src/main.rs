//! The command line of the cache: serve it, put into it, look into it, clean it, verify it, copy it, try a store.
//!
//! Exit code 0 means a hit or done, 1 a miss, a store that fails the conformance suite or has lost entries, or a copy
//! that lacks some, 2 an error, which is one line on standard error.

mod args;
mod cmd;
mod environment;
mod failure;
mod output;
mod progress;
mod signals;
mod stores;

use std::{panic, process::ExitCode, thread};

use cache_conformance::Clause;
use clap::Parser;

use crate::{args::Cli, failure::Failure};

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Miss,
    /// A store does not keep the contract.
    Broken,
    /// Damaged entries were lost.
    Damaged,
    /// A copy lacks entries.
    Incomplete,
}

fn main() -> ExitCode {
    // A bug is one line on standard error, too.
    panic::set_hook(Box::new(|found| {
        // A clause of the suite that fails is in the report.
        if thread::current().name() == Some(Clause::THREAD_NAME) {
            return;
        }
        Failure::because(format!("internal error, please report it: {found}")).tell();
    }));
    match panic::catch_unwind(run) {
        Ok(Ok(Outcome::Done) | Err(Failure::ClosedPipe)) => ExitCode::SUCCESS,
        Ok(Ok(Outcome::Miss | Outcome::Broken | Outcome::Damaged | Outcome::Incomplete)) => ExitCode::from(1),
        Err(_) => ExitCode::from(2),
        Ok(Err(failure)) => {
            failure.tell();
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<Outcome, Failure> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(Failure::usage(&error)),
        Err(help) => return output::print_help(&help).map(|()| Outcome::Done),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start", &error))?;
    let outcome = runtime.block_on(cmd::run(cli));
    // A thread that still waits for standard input must not hold up the exit.
    runtime.shutdown_background();
    outcome
}
