use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_class(frequencies: std::ops::RangeInclusive<u8>, list: usize) {
    for frequency in frequencies {
        assert_eq!(class(frequency), list, "{frequency}");
    }
}

#[test]
fn a_doubling_of_the_frequency_has_two_lists() {
    check_class(0..=1, 1);
    check_class(2..=2, 2);
    check_class(3..=3, 3);
    check_class(4..=5, 4);
    check_class(6..=7, 5);
    check_class(128..=191, 14);
    check_class(192..=255, LISTS - 1);
}

#[test]
fn the_more_frequent_may_stay_longer() {
    let lists = Lists::new(10, 1000);
    let stays: Vec<_> = lists.lists.iter().skip(1).map(|list| list.stay).collect();
    assert!(stays.is_sorted_by(|one, next| one < next), "{stays:?}");
    assert_eq!(stays.first(), Some(&10));
    assert_eq!((lists.lists[4].stay, lists.lists[5].stay), (2010, 2010 + 584));
}

#[test]
fn uses_count_half_after_each_half_life() {
    let mut lists = Lists::new(0, 0);
    lists.push_main(0, 100, 7);
    let node = lists.get(0).unwrap();
    assert_eq!((node.frequency(), node.stamp(), node.in_window()), (100, 7, false));
    assert_eq!(node.used(1, 9, 10), 101);
    assert_eq!(node.used(1, 10, 10), 51);
    assert_eq!(node.used(0, 39, 10), 12);
    assert_eq!(node.used(0, 1_000_000, 10), 1);
    assert_eq!(node.used(200, 9, 10), u8::MAX);
}

#[test]
fn a_clock_at_its_end_leaves_the_order_of_coming() {
    let mut lists = Lists::new(1 << 62, 1 << 30);
    for index in 0..3 {
        lists.push_main(index, 255, u64::MAX);
    }
    for index in 0..3 {
        assert_eq!(lists.main().map(|first| first.index), Some(index));
        lists.remove(index);
    }
}

#[track_caller]
fn check_weight(weight: u64, counts: u64) {
    let mut lists = Lists::new(0, 0);
    lists.push_window(0, 1, weight, 0);
    assert_eq!(lists.window_weight(), counts);
    lists.remove(0);
    assert_eq!(lists.window_weight(), 0);
}

#[test]
fn a_weight_counts_as_the_next_power_of_two() {
    check_weight(0, 1);
    check_weight(1, 1);
    check_weight(2, 2);
    check_weight(3, 4);
    check_weight(4, 4);
    check_weight(5, 8);
    check_weight(u64::MAX, 1 << 15);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Window(u32, u8),
    Main(u32, u8),
    Remove(u32),
    Again(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let (index, frequency) = (|| 0..24_u32, || 1..=u8::MAX);
    prop_oneof![
        (index(), frequency()).prop_map(|(index, frequency)| Step::Window(index, frequency)),
        (index(), frequency()).prop_map(|(index, frequency)| Step::Main(index, frequency)),
        index().prop_map(Step::Remove),
        index().prop_map(Step::Again),
    ]
}

/// In the order of coming: index, list and stamp.
type Model = Vec<(u32, usize, u64)>;

fn first(model: &Model, lists: &Lists, outside: bool) -> Option<Ranked> {
    let of = model.iter().filter(|(_, list, _)| (*list > 0) == outside);
    let ranked = of.map(|(index, list, stamp)| (stamp + lists.lists[*list].stay, *index));
    ranked.min_by_key(|(rank, _)| *rank).map(|(rank, index)| Ranked { index, rank })
}

proptest! {
    #[test]
    fn the_lists_are_those_of_a_naive_model(steps in prop::collection::vec(step(), 0..200)) {
        // Stays that no difference of stamps makes equal, so that the first is one.
        let mut lists = Lists::new(1000, 1_000_000);
        let mut model = Model::new();
        for (now, step) in (0..).zip(steps) {
            let (Step::Window(index, _) | Step::Main(index, _) | Step::Remove(index) | Step::Again(index)) = step;
            let at = model.iter().position(|(found, _, _)| *found == index);
            let before = at.map(|at| model.remove(at));
            let node = lists.remove(index);
            prop_assert_eq!(node.map(|node| (node.list(), node.stamp())), before.map(|(_, list, stamp)| (list, stamp)));
            match (step, node) {
                (Step::Window(_, frequency), _) => {
                    lists.push_window(index, frequency, frequency.into(), now);
                    model.push((index, 0, now));
                }
                (Step::Main(_, frequency), _) => {
                    lists.push_main(index, frequency, now);
                    model.push((index, class(frequency), now));
                }
                (Step::Again(_), Some(node)) => {
                    lists.push_again(index, node, now);
                    model.push((index, node.list(), now));
                }
                (Step::Remove(_) | Step::Again(_), _) => {}
            }
            prop_assert_eq!(lists.window(), first(&model, &lists, false));
            prop_assert_eq!(lists.main(), first(&model, &lists, true));
            prop_assert_eq!(lists.len(), model.len());
            let weights = model.iter().filter_map(|(index, _, _)| lists.get(*index)).filter(Node::in_window);
            prop_assert_eq!(lists.window_weight(), weights.map(|node| node.weight()).sum::<u64>());
            prop_assert_eq!(lists.in_window(), model.iter().filter(|(_, list, _)| *list == 0).count());
        }
    }
}
