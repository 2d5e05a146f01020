//! Contenders take turns: whatever disturbs the machine disturbs all of them alike.

use serde::Serialize;

use crate::{failure::Result, harness::scale::Scale};

/// Where code under test comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// This workspace.
    Ours,
    /// The cache of others.
    Rival,
    /// A baseline, not a cache: the least that could do it, or the yardstick of a policy.
    Baseline,
}

type Round<I> = Box<dyn FnMut(&I) -> Result<Vec<f64>>>;

/// One of those that are compared.
pub(crate) struct Contender<I> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// One round over its input; answers one figure per metric.
    pub(crate) run: Round<I>,
}

impl<I> Contender<I> {
    pub(crate) fn new(
        name: impl Into<String>,
        kind: Kind,
        run: impl FnMut(&I) -> Result<Vec<f64>> + 'static,
    ) -> Self {
        Self { name: name.into(), kind, run: Box::new(run) }
    }

    /// The same over what `input` makes of the input.
    pub(crate) fn with(mut self, input: impl Fn(&I) -> I + 'static) -> Self
    where
        I: 'static,
    {
        Self { run: Box::new(move |all| (self.run)(&input(all))), name: self.name, kind: self.kind }
    }
}

/// What a contender answered, round by round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) rounds: Vec<Vec<f64>>,
}

/// The rounds that do not count, and then those that do. `input` makes what all contenders of a round get;
/// who begins changes from round to round.
pub(crate) fn interleave<I>(
    scale: &Scale,
    mut input: impl FnMut() -> I,
    contenders: &mut [Contender<I>],
) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = contenders
        .iter()
        .map(|contender| Run { name: contender.name.clone(), kind: contender.kind, rounds: Vec::new() })
        .collect();
    for round in 0..scale.warm_up + scale.rounds {
        let input = input();
        let first = round % contenders.len().max(1);
        let order: Vec<usize> = (first..contenders.len()).chain(0..first).collect();
        for index in order {
            let (Some(contender), Some(run)) = (contenders.get_mut(index), runs.get_mut(index)) else {
                continue;
            };
            let figures =
                (contender.run)(&input).map_err(|failure| format!("{}: {failure}", contender.name))?;
            if round >= scale.warm_up {
                run.rounds.push(figures);
            }
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests;
