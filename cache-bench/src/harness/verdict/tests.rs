use super::*;

#[track_caller]
fn check(bound: Bound, min: f64, max: f64, expected: Verdict) {
    let summary = Summary { median: f64::midpoint(min, max), min, max };
    assert_eq!(bound.verdict(&summary), expected, "{bound} of {min}..{max}");
}

#[test]
fn bound_kept_in_every_round_is_met() {
    check(Bound::AtMost(1.25), 0.9, 1.25, Verdict::Met);
    check(Bound::AtLeast(0.923), 0.923, 0.99, Verdict::Met);
}

#[test]
fn bound_kept_in_no_round_is_missed() {
    check(Bound::AtMost(1.25), 1.3, 1.4, Verdict::Missed);
    check(Bound::AtLeast(0.923), 0.5, 0.9, Verdict::Missed);
}

#[test]
fn bound_between_the_rounds_is_not_shown() {
    check(Bound::AtMost(1.25), 1.2, 1.3, Verdict::NotShown);
    check(Bound::AtLeast(0.923), 0.92, 0.93, Verdict::NotShown);
}

#[test]
fn figure_that_is_no_number_meets_nothing() {
    check(Bound::AtMost(1.0), f64::NAN, f64::NAN, Verdict::Missed);
    check(Bound::AtLeast(1.0), f64::NAN, f64::NAN, Verdict::Missed);
}
