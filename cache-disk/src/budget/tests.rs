use super::*;

#[test]
fn an_estimate_follows_replaces_and_removals() {
    let budget = Budget::default();
    assert_eq!(budget.estimate(), None);
    budget.correct(1000, &budget.begin_scan());
    budget.change(0, 500);
    budget.change(500, 200);
    budget.change(200, 0);
    assert_eq!(budget.estimate(), Some(1000));
    budget.change(u64::MAX, 0);
    assert_eq!(budget.estimate(), Some(0));
}

#[test]
fn what_comes_in_during_a_scan_is_in_the_corrected_estimate() {
    let budget = Budget::default();
    budget.change(0, 7);
    let begun = budget.begin_scan();
    budget.change(0, 100);
    budget.change(100, 0);
    budget.correct(1000, &begun);
    assert_eq!(budget.estimate(), Some(1100));
}
