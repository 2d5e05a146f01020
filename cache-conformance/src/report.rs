mod table;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{Clause, Outcome};

/// What became of each clause over one store.
///
/// It reads as text for people, as JSON for machines, and several as one [table](Self::table):
///
/// ```json
/// {"suite": "cache-conformance 0.1.0", "store": "memory:", "clauses": [
///     {"id": "miss_is_none", "group": "read", "outcome": "passed", "detail": ""}
/// ]}
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Report {
    /// The suite and its version.
    pub suite: String,
    /// What the store is called.
    pub store: String,
    /// The clauses, by group.
    pub clauses: Vec<ClauseReport>,
}

/// What became of one clause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClauseReport {
    /// Its name.
    pub id: String,
    /// Its group.
    pub group: String,
    /// What became of it.
    pub outcome: Verdict,
    /// What was found, or why it was not run; empty if it passed.
    pub detail: String,
}

/// An [`Outcome`] without its detail, as it stands in a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The store keeps the clause.
    Passed,
    /// The store breaks it.
    Failed,
    /// The store did not answer in time.
    TimedOut,
    /// It could not be tried.
    NotRun,
}

impl ClauseReport {
    /// This clause ended so.
    #[must_use]
    pub fn new(clause: &Clause, outcome: &Outcome) -> Self {
        let (verdict, detail) = match outcome {
            Outcome::Passed => (Verdict::Passed, String::new()),
            Outcome::Failed(found) => (Verdict::Failed, found.clone()),
            Outcome::TimedOut(limit) => (Verdict::TimedOut, format!("no answer within {limit:?}")),
            Outcome::NotRun(reason) => (Verdict::NotRun, reason.clone()),
        };
        Self { id: clause.id.to_owned(), group: clause.group.to_owned(), outcome: verdict, detail }
    }
}

impl Report {
    /// The suite and its version, as this build reports them.
    pub const SUITE: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

    /// A report of this suite on a store of this name.
    #[must_use]
    pub fn new(store: impl Into<String>, clauses: Vec<ClauseReport>) -> Self {
        Self { suite: Self::SUITE.to_owned(), store: store.into(), clauses }
    }

    /// How many clauses the store keeps.
    #[must_use]
    pub fn passed(&self) -> usize {
        Count::of(&self.clauses).passed
    }

    /// How many clauses the store breaks, those that it did not answer in time among them.
    #[must_use]
    pub fn failed(&self) -> usize {
        let count = Count::of(&self.clauses);
        count.failed + count.timed_out
    }

    /// How many clauses were not tried.
    #[must_use]
    pub fn not_run(&self) -> usize {
        Count::of(&self.clauses).not_run
    }

    /// Whether nothing failed and something passed: a suite of which nothing ran proves nothing.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failed() == 0 && self.passed() > 0
    }
}

/// A line for each group, below it each clause that did not pass, and a line for all.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = groups(&self.clauses);
        let width = groups.iter().map(|(group, _)| group.len()).max().unwrap_or(0);
        for (group, clauses) in &groups {
            write!(f, "{group:width$}  {}", Count::of(clauses.iter().copied()))?;
            if let Some(reason) = not_run_for(clauses) {
                writeln!(f, ": {}", one_line(reason))?;
                continue;
            }
            writeln!(f)?;
            for clause in clauses.iter().filter(|clause| clause.outcome != Verdict::Passed) {
                writeln!(f, "  {}: {}: {}", clause.id, clause.outcome, one_line(&clause.detail))?;
            }
        }
        write!(f, "{}  {}  ({})", one_line(&self.store), Count::of(&self.clauses), self.suite)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed out",
            Self::NotRun => "not run",
        })
    }
}

/// The one reason for which none of several clauses was run.
fn not_run_for<'a>(clauses: &[&'a ClauseReport]) -> Option<&'a str> {
    let (first, others) = clauses.split_first()?;
    let same = |other: &&ClauseReport| other.outcome == first.outcome && other.detail == first.detail;
    (first.outcome == Verdict::NotRun && !others.is_empty() && others.iter().all(same))
        .then_some(&first.detail)
}

/// A detail comes from the store under test: nothing in it may look like another line.
fn one_line(detail: &str) -> String {
    let parts: Vec<_> =
        detail.split(char::is_control).map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

/// The clauses by group, in the order in which the groups come first.
fn groups(clauses: &[ClauseReport]) -> Vec<(&str, Vec<&ClauseReport>)> {
    let mut groups: Vec<(&str, Vec<&ClauseReport>)> = Vec::new();
    let mut places = BTreeMap::new();
    for clause in clauses {
        let place = *places.entry(&*clause.group).or_insert_with(|| {
            groups.push((&clause.group, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, members)) = groups.get_mut(place) {
            members.push(clause);
        }
    }
    groups
}

/// How many clauses ended how.
#[derive(Clone, Copy, Default)]
struct Count {
    passed: usize,
    failed: usize,
    timed_out: usize,
    not_run: usize,
}

impl Count {
    fn of<'a>(clauses: impl IntoIterator<Item = &'a ClauseReport>) -> Self {
        let mut count = Self::default();
        for clause in clauses {
            *match clause.outcome {
                Verdict::Passed => &mut count.passed,
                Verdict::Failed => &mut count.failed,
                Verdict::TimedOut => &mut count.timed_out,
                Verdict::NotRun => &mut count.not_run,
            } += 1;
        }
        count
    }

    fn all(self) -> usize {
        self.passed + self.failed + self.timed_out + self.not_run
    }
}

/// `13 of 13`, `11 of 13, 1 failed, 1 not run`, or `not run`.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.not_run == self.all() {
            return f.pad("not run");
        }
        write!(f, "{} of {}", self.passed, self.all())?;
        let others = [(self.failed, "failed"), (self.timed_out, "timed out"), (self.not_run, "not run")];
        for (number, what) in others.iter().filter(|(number, _)| *number > 0) {
            write!(f, ", {number} {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
