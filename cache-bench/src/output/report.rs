use serde::Serialize;

use crate::harness::{machine::Machine, measurement::Measurement, scale::Scale};

/// All that a set found, as it stands in its JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) set: &'static str,
    /// Tiny sizes: the figures mean nothing.
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) machine: Machine,
    /// The file system that the files lay on.
    pub(crate) files_on: Option<String>,
    pub(crate) sections: Vec<Section>,
}

/// What one benchmark found.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) setting: &'static str,
    pub(crate) seconds: f64,
    /// The load average before and after, this program being part of the latter.
    pub(crate) load: [Option<f64>; 2],
    pub(crate) measurements: Vec<Measurement>,
}

impl Report {
    pub(crate) fn new(set: &'static str, scale: &Scale, machine: Machine) -> Self {
        let files_on = scale.ground.as_ref().map(|ground| ground.description.clone());
        Self { set, quick: scale.quick, rounds: scale.rounds, machine, files_on, sections: Vec::new() }
    }
}
