use std::fmt;

use serde::{Serialize, Serializer};

use crate::harness::summary::Summary;

/// What a ratio or a figure has to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// What several rounds say of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Every round kept the bound.
    Met,
    /// No round kept it.
    Missed,
    /// Some rounds did and some did not.
    NotShown,
}

impl Bound {
    pub(crate) fn verdict(self, of: &Summary) -> Verdict {
        let (kept_by_all, kept_by_some) = match self {
            Self::AtMost(bound) => (of.max <= bound, of.min <= bound),
            Self::AtLeast(bound) => (of.min >= bound, of.max >= bound),
        };
        match (kept_by_all, kept_by_some) {
            (true, _) => Verdict::Met,
            (false, true) => Verdict::NotShown,
            (false, false) => Verdict::Missed,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
        }
    }
}

impl Serialize for Bound {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::NotShown => "not shown",
        })
    }
}

#[cfg(test)]
mod tests;
