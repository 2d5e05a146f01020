//! Time that the machine gives to somebody else in the middle of a round is nobody's figure.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::harness::summary::Summary;

/// Operations of one slice: so few that most slices of a round are over before the scheduler changes its mind.
pub(crate) const SLICE: usize = 1000;

/// How far each of several threads has come; each on a cache line of its own.
#[derive(Debug, Default)]
pub(crate) struct Progress(Vec<Line>);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicUsize);

impl Progress {
    pub(crate) fn of(threads: usize) -> Self {
        Self((0..threads).map(|_| Line::default()).collect())
    }

    fn advance(&self, thread: usize) {
        if let Some(Line(slices)) = self.0.get(thread) {
            slices.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Slices that the others have done.
    fn of_others(&self, thread: usize) -> usize {
        let others = self.0.iter().enumerate().filter(|(other, _)| *other != thread);
        others.map(|(_, Line(slices))| slices.load(Ordering::Relaxed)).sum()
    }
}

/// Does the work slice by slice; answers the nanoseconds of one operation in each.
pub(crate) async fn by_slices<T>(operations: &[T], work: impl AsyncFnMut(&[T])) -> Vec<f64> {
    in_company(operations, 0, &Progress::of(1), work).await
}

/// The same on one of several threads; leaves out slices during which the others did not do about as much: if
/// they did nothing they had no core, and if they did far more it was this thread that had none.
pub(crate) async fn in_company<T>(
    operations: &[T],
    thread: usize,
    progress: &Progress,
    mut work: impl AsyncFnMut(&[T]),
) -> Vec<f64> {
    let all_of_others = progress.0.len().saturating_sub(1);
    let as_much = all_of_others..=2 * all_of_others;
    let mut nanos = Vec::new();
    for slice in operations.chunks(SLICE) {
        let others = progress.of_others(thread);
        let begun = Instant::now();
        work(slice).await;
        let time = begun.elapsed();
        progress.advance(thread);
        if as_much.contains(&(progress.of_others(thread) - others)) {
            nanos.push(time.as_secs_f64() * 1e9 / slice.len() as f64);
        }
    }
    nanos
}

/// The figure that so many of a hundred do not exceed.
pub(crate) fn percentile(figures: &mut [f64], percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() * percent).div_ceil(100).saturating_sub(1);
    figures.get(at).copied().unwrap_or(f64::NAN)
}

/// Of the times of single operations, in microseconds: mean, median, 99th percentile, the ratio of these; and the
/// longest, in milliseconds.
pub(crate) fn distribution(times: &[Duration]) -> Vec<f64> {
    let mut micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    let mean = micros.iter().sum::<f64>() / micros.len() as f64;
    let [p50, p99, most] = [50, 99, 100].map(|percent| percentile(&mut micros, percent));
    vec![mean, p50, p99, p99 / p50, most / 1e3]
}

/// The figure of a round: the median of its slices.
pub(crate) fn median(slices: &[f64]) -> f64 {
    Summary::of(slices).map_or(f64::NAN, |summary| summary.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_done_once_and_in_order() {
        let operations: Vec<usize> = (0..2 * SLICE + 1).collect();
        let mut done = Vec::new();
        let slices =
            futures::executor::block_on(by_slices(&operations, async |slice| done.extend_from_slice(slice)));
        assert_eq!((slices.len(), done), (3, operations));
    }

    #[test]
    fn slices_beside_threads_that_stand_still_or_run_away_do_not_count() {
        let (progress, operations) = (Progress::of(2), [0; 4 * SLICE]);
        let mut others = [0, 1, 2, 3].into_iter();
        let work = async |_: &[i32]| {
            for _ in 0..others.next().unwrap() {
                progress.advance(1);
            }
        };
        assert_eq!(futures::executor::block_on(in_company(&operations, 0, &progress, work)).len(), 2);
    }

    #[test]
    fn one_interrupted_slice_does_not_count() {
        assert_eq!(median(&[40.0, 41.0, 9000.0]), 41.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn times_of_operations_are_told_by_their_middle_and_their_tail() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(distribution(&times), [50.5, 50.0, 99.0, 1.98, 0.1]);
    }

    #[test]
    fn so_many_of_a_hundred_do_not_exceed_a_percentile() {
        let mut figures: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&mut figures, percent)), [100.0, 198.0, 200.0]);
        assert!(percentile(&mut [], 50).is_nan());
    }
}
