use std::path::PathBuf;

use clap::{Parser, builder::PossibleValuesParser};

use crate::{harness::private_mounts, sets::SETS};

/// Runs sets of benchmarks, ours beside what others offer, and writes their figures, tables and plots.
#[derive(Debug, Parser)]
#[command(name = "cache-bench", version)]
pub struct Args {
    /// What to run.
    #[arg(required_unless_present = "list", value_parser = PossibleValuesParser::new(SETS.iter().map(|set| set.name)))]
    pub(crate) sets: Vec<String>,

    /// Only names the sets and their benchmarks.
    #[arg(long)]
    pub(crate) list: bool,

    /// Runs these benchmarks only.
    #[arg(long, num_args = 1.., value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// Rounds that count; one more goes before them.
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,

    /// Tiny sizes and 3 rounds: shows that the benchmarks run. The figures mean nothing.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Where benchmarks of the disk put their files, in a directory of their own; without it a file system is made
    /// for each, if this is root and the system can.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// How many entries the large store of the sets `disk` and `redb` has; a million by default, and 2,000 at least.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2000..))]
    pub(crate) entries: Option<u32>,

    /// Mounts of this process are seen by nobody else.
    #[arg(long = private_mounts::INSIDE, hide = true)]
    pub(crate) private_mounts: bool,

    /// Where the results go.
    #[arg(long, value_name = "DIR", default_value = "docs/bench")]
    pub(crate) out: PathBuf,

    /// The program that counts what it allocates; it is built if it is not named.
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) heap_program: Option<PathBuf>,
}
