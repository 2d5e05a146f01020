use serde::Serialize;

use crate::harness::{
    rounds::{Kind, Run},
    summary::Summary,
    verdict::{Bound, Verdict},
};

/// One quantity, taken of several contenders in the same rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) series: Vec<Series>,
    pub(crate) comparisons: Vec<Comparison>,
}

/// What one contender reached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// Round by round.
    samples: Vec<f64>,
}

/// A target and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) target: &'static str,
    pub(crate) ours: String,
    /// Whom the ratio is taken against, in the same round. Without it the figure itself is what counts.
    pub(crate) reference: Option<String>,
    pub(crate) bound: Bound,
    #[serde(flatten)]
    pub(crate) reached: Summary,
    pub(crate) verdict: Verdict,
}

impl Measurement {
    /// The figure at `metric` of each run.
    pub(crate) fn of(title: impl Into<String>, unit: &'static str, runs: &[Run], metric: usize) -> Self {
        let series = runs.iter().filter_map(|run| {
            let samples: Vec<f64> =
                run.rounds.iter().filter_map(|figures| figures.get(metric).copied()).collect();
            let summary = Summary::of(&samples)?;
            Some(Series { name: run.name.clone(), kind: run.kind, summary, samples })
        });
        Self { title: title.into(), unit, series: series.collect(), comparisons: Vec::new() }
    }

    /// The figure that each run has come to in its last round.
    pub(crate) fn at_the_end(
        title: impl Into<String>,
        unit: &'static str,
        runs: &[Run],
        metric: usize,
    ) -> Self {
        let ends: Vec<Run> = runs
            .iter()
            .map(|run| Run { rounds: run.rounds.last().into_iter().cloned().collect(), ..run.clone() })
            .collect();
        Self::of(title, unit, &ends, metric)
    }

    fn samples(&self, name: &str) -> Option<&[f64]> {
        self.series.iter().find(|series| series.name == name).map(|series| series.samples.as_slice())
    }

    /// Holds the ratio of two contenders, round by round, against a bound; nothing if one of them did not run.
    pub(crate) fn ratio(self, target: &'static str, ours: &str, reference: &str, bound: Bound) -> Self {
        let reached = self.samples(ours).zip(self.samples(reference)).and_then(|(ours, reference)| {
            let ratios: Vec<f64> =
                ours.iter().zip(reference).map(|(ours, reference)| ours / reference).collect();
            Summary::of(&ratios)
        });
        self.compared(target, ours, Some(reference.to_owned()), bound, reached)
    }

    /// Holds a contender's own figure against a bound.
    pub(crate) fn figure(self, target: &'static str, ours: &str, bound: Bound) -> Self {
        let reached = self.samples(ours).and_then(Summary::of);
        self.compared(target, ours, None, bound, reached)
    }

    fn compared(
        mut self,
        target: &'static str,
        ours: &str,
        reference: Option<String>,
        bound: Bound,
        reached: Option<Summary>,
    ) -> Self {
        self.comparisons.extend(reached.map(|reached| Comparison {
            target,
            ours: ours.to_owned(),
            reference,
            bound,
            reached,
            verdict: bound.verdict(&reached),
        }));
        self
    }
}

#[cfg(test)]
mod tests;
