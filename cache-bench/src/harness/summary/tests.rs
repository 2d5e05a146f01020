use super::*;

#[track_caller]
fn check(samples: &[f64], median: f64, min: f64, max: f64) {
    assert_eq!(Summary::of(samples), Some(Summary { median, min, max }));
}

#[test]
fn median_of_an_odd_number_is_the_middle() {
    check(&[3.0, 1.0, 2.0], 2.0, 1.0, 3.0);
    check(&[7.0], 7.0, 7.0, 7.0);
}

#[test]
fn median_of_an_even_number_is_between_the_two_in_the_middle() {
    check(&[4.0, 1.0, 10.0, 2.0], 3.0, 1.0, 10.0);
}

#[test]
fn median_ignores_one_wild_round() {
    check(&[1.0, 1.0, 1000.0, 1.0, 1.0], 1.0, 1.0, 1000.0);
}

#[test]
fn nothing_has_no_summary() {
    assert_eq!(Summary::of(&[]), None);
}
