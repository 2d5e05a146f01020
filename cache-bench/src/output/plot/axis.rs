use crate::{harness::measurement::Measurement, output::figures::rounded};

/// From where to where a panel's figures go.
#[derive(Debug, PartialEq)]
pub(crate) enum Axis {
    /// From 0.
    Linear { max: f64, step: f64 },
    /// By powers of ten, where the largest figure would leave nothing to see of the smallest.
    Logarithmic { first: i32, last: i32 },
}

/// How many times the smallest figure the largest may be before powers of ten are shown.
const SPREAD: f64 = 25.0;

impl Axis {
    pub(crate) fn of(measurement: &Measurement) -> Self {
        let summaries = || measurement.series.iter().map(|series| &series.summary);
        let max = summaries().map(|summary| summary.max).fold(0.0, f64::max);
        let least = summaries().map(|summary| summary.min).fold(f64::INFINITY, f64::min);
        // A wild round must not squeeze the medians.
        let median = summaries().map(|summary| summary.median).fold(0.0, f64::max);
        if least > 0.0 && median / least > SPREAD {
            return Self::Logarithmic { first: floor_power(least), last: ceiling_power(max) };
        }
        Self::linear(max.min(3.0 * median))
    }

    fn linear(max: f64) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let power = 10_f64.powi(floor_power(max / 5.0));
        let step = [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| max / step <= 6.0);
        let step = step.unwrap_or(max);
        Self::Linear { max: (max / step).ceil() * step, step }
    }

    /// The pixel of a figure; one beyond the axis is shown at its end.
    pub(crate) fn position(&self, figure: f64, left: i32, right: i32) -> i32 {
        let share = match self {
            Self::Linear { max, .. } => figure / max,
            Self::Logarithmic { first, last } => {
                (figure.log10() - f64::from(*first)) / f64::from(last - first)
            }
        };
        left + pixels(share.clamp(0.0, 1.0) * f64::from(right - left))
    }

    pub(crate) fn ticks(&self) -> Vec<f64> {
        match self {
            Self::Linear { max, step } => {
                (0..=6).map(|tick| f64::from(tick) * step).filter(|tick| *tick <= max * 1.001).collect()
            }
            Self::Logarithmic { first, last } => (*first..=*last).map(|power| 10_f64.powi(power)).collect(),
        }
    }

    pub(crate) fn label(&self, tick: f64) -> String {
        let digits = match self {
            Self::Linear { step, .. } => (-floor_power(*step)).max(0),
            Self::Logarithmic { .. } => (-floor_power(tick)).max(0),
        };
        usize::try_from(digits).map_or_else(|_| rounded(tick), |digits| format!("{tick:.digits$}"))
    }

    pub(crate) fn name(&self, quantity: &str) -> String {
        match self {
            Self::Linear { .. } => quantity.to_owned(),
            Self::Logarithmic { .. } => format!("{quantity}, by powers of ten"),
        }
    }
}

/// The power of ten at or below a figure.
fn floor_power(figure: f64) -> i32 {
    whole((figure.log10() + 1e-9).floor())
}

/// The power of ten at or above a figure.
fn ceiling_power(figure: f64) -> i32 {
    whole((figure.log10() - 1e-9).ceil())
}

fn pixels(length: f64) -> i32 {
    whole(length.round())
}

#[expect(clippy::cast_possible_truncation, reason = "a float that is too large becomes the largest integer")]
fn whole(float: f64) -> i32 {
    float as i32
}

#[cfg(test)]
mod tests;
