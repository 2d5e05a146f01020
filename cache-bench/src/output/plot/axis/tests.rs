use super::*;
use crate::harness::rounds::{Kind, Run};

fn axis(figures: &[f64]) -> Axis {
    let runs: Vec<Run> = figures
        .iter()
        .map(|figure| Run { name: figure.to_string(), kind: Kind::Baseline, rounds: vec![vec![*figure]] })
        .collect();
    Axis::of(&Measurement::of("hit", "ns", &runs, 0))
}

#[test]
fn linear_axis_ends_at_a_round_figure() {
    assert_eq!(axis(&[42.0, 289.0]), Axis::Linear { max: 300.0, step: 50.0 });
    assert_eq!(axis(&[42.0, 289.0]).ticks(), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]);
    assert_eq!(axis(&[0.85, 0.92]).label(0.2), "0.2");
}

#[test]
fn far_apart_figures_are_shown_by_powers_of_ten() {
    let axis = axis(&[42.0, 2509.0]);
    assert_eq!(axis, Axis::Logarithmic { first: 1, last: 4 });
    assert_eq!(axis.ticks(), [10.0, 100.0, 1000.0, 10_000.0]);
    assert_eq!(axis.position(100.0, 0, 300), 100);
}

#[test]
fn nothing_but_zeros_has_an_axis() {
    assert_eq!(axis(&[0.0]), axis(&[1.0]));
    assert_eq!(axis(&[]).position(0.0, 10, 20), 10);
}

#[test]
fn figures_beyond_the_axis_stay_on_it() {
    let axis = axis(&[1.0]);
    assert_eq!((axis.position(-5.0, 0, 100), axis.position(99.0, 0, 100)), (0, 100));
}
