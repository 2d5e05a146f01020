use super::*;

fn run(name: &str, figures: &[f64]) -> Run {
    let rounds = figures.iter().map(|figure| vec![*figure, -1.0]).collect();
    Run { name: name.to_owned(), kind: Kind::Baseline, rounds }
}

#[test]
fn ratios_are_taken_round_by_round() {
    // The machine was busy in the second round, for both.
    let runs = [run("ours", &[10.0, 100.0, 12.0]), run("theirs", &[10.0, 100.0, 10.0])];
    let measurement = Measurement::of("hit", "ns", &runs, 0).ratio("T", "ours", "theirs", Bound::AtMost(1.2));
    let comparison = &measurement.comparisons[0];
    assert_eq!(comparison.reached, Summary { median: 1.0, min: 1.0, max: 1.2 });
    assert_eq!(comparison.verdict, Verdict::Met);
}

#[test]
fn figures_are_held_against_a_bound_alone() {
    let measurement =
        Measurement::of("hit", "ns", &[run("ours", &[4.0, 6.0])], 0).figure("T", "ours", Bound::AtMost(5.0));
    assert_eq!(measurement.comparisons[0].verdict, Verdict::NotShown);
}

#[test]
fn who_did_not_run_is_not_compared() {
    let runs = [run("ours", &[1.0])];
    let measurement = Measurement::of("hit", "ns", &runs, 0).ratio("T", "ours", "absent", Bound::AtMost(1.0));
    assert!(measurement.comparisons.is_empty());
}

#[test]
fn metric_that_no_run_has_is_an_empty_measurement() {
    assert!(Measurement::of("hit", "ns", &[run("ours", &[1.0])], 2).series.is_empty());
}

#[test]
fn running_figures_count_at_their_end() {
    let measurement = Measurement::at_the_end("hit ratio", "", &[run("ours", &[0.1, 0.5, 0.7])], 0);
    assert_eq!(measurement.series[0].summary, Summary { median: 0.7, min: 0.7, max: 0.7 });
}
