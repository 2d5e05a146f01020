use crate::{
    failure::Result,
    harness::{measurement::Measurement, scale::Scale},
};

/// A set of benchmarks that one command runs.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// The packages of others that take part.
    pub(crate) rivals: &'static [&'static str],
    /// Whether its benchmarks need a place for files.
    pub(crate) on_disk: bool,
    pub(crate) benches: &'static [Bench],
}

/// One question, and how it is put to all contenders.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Its name on the command line and in file names.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What is run over what, in full sentences; the sizes are those of a full run.
    pub(crate) setting: &'static str,
    pub(crate) run: fn(&Scale) -> Result<Vec<Measurement>>,
}
