use super::*;
use Event::{Evict, Exists, Put, Read};

#[track_caller]
fn check(legal: bool, operations: &[(Event, u64, u64)]) {
    let operation = |&(event, called, answered): &_| Operation { task: 0, name: "", event, called, answered };
    let mut operations: Vec<_> = operations.iter().map(operation).collect();
    assert_eq!(is_legal(&operations), legal);
    operations.reverse();
    assert_eq!(is_legal(&operations), legal, "the order of the records decides");
}

#[test]
fn nothing_is_legal() {
    check(true, &[]);
}

#[test]
fn what_follows_one_another_sees_what_was_left() {
    check(
        true,
        &[(Read(None), 0, 1), (Put(1), 2, 3), (Read(Some(1)), 4, 5), (Evict, 6, 7), (Exists(false), 8, 9)],
    );
    check(false, &[(Put(1), 0, 1), (Read(None), 2, 3)]);
    check(false, &[(Put(1), 0, 1), (Exists(false), 2, 3)]);
    check(false, &[(Read(Some(1)), 0, 1), (Put(1), 2, 3)]);
    check(false, &[(Put(1), 0, 1), (Put(2), 2, 3), (Read(Some(1)), 4, 5)]);
    check(false, &[(Put(1), 0, 1), (Evict, 2, 3), (Read(Some(1)), 4, 5)]);
    check(false, &[(Evict, 0, 1), (Exists(true), 2, 3)]);
}

#[test]
fn what_overlaps_may_come_in_either_order() {
    check(true, &[(Put(1), 0, 3), (Read(None), 1, 2)]);
    check(true, &[(Put(1), 0, 3), (Read(Some(1)), 1, 2)]);
    check(true, &[(Put(1), 0, 2), (Put(2), 1, 3), (Read(Some(1)), 4, 5)]);
    check(true, &[(Put(1), 0, 2), (Put(2), 1, 3), (Read(Some(2)), 4, 5)]);
    check(true, &[(Put(1), 0, 2), (Evict, 1, 3), (Exists(false), 4, 5)]);
}

#[test]
fn overlapping_put_is_never_taken_back() {
    // Seen once, it is seen from then on, although its put has not been answered.
    check(true, &[(Put(1), 0, 9), (Read(None), 1, 2), (Read(Some(1)), 3, 4), (Read(Some(1)), 5, 6)]);
    check(false, &[(Put(1), 0, 9), (Read(Some(1)), 1, 2), (Read(None), 3, 4)]);
    check(false, &[(Put(1), 0, 1), (Put(2), 2, 9), (Read(Some(2)), 3, 4), (Read(Some(1)), 5, 6)]);
    check(false, &[(Put(1), 0, 1), (Evict, 2, 9), (Exists(false), 3, 4), (Exists(true), 5, 6)]);
}

#[test]
fn two_readers_agree_on_the_order_of_puts() {
    let puts = [(Put(1), 0, 20), (Put(2), 1, 21)];
    let reads = |first, second| [(Read(Some(first)), 2, 3), (Read(Some(second)), 4, 5)];
    check(true, &[&puts[..], &reads(1, 2)].concat());
    check(true, &[&puts[..], &reads(2, 1)].concat());
    check(false, &[&puts[..], &reads(1, 2), &[(Read(Some(1)), 6, 7)]].concat());
}

#[test]
fn value_that_nobody_has_put_is_illegal() {
    check(false, &[(Put(1), 0, 3), (Read(Some(2)), 1, 2)]);
}

#[test]
fn long_history_of_four_tasks_is_decided() {
    // Each put overlaps three others; what is read at the end was put first, which no order explains.
    let put = |number: u64| (Put(number), number * 4, number * 4 + 14);
    let puts: Vec<_> = (0..120).map(put).collect();
    check(true, &[&puts[..], &[(Read(Some(119)), 1000, 1001)]].concat());
    check(false, &[&puts[..], &[(Read(Some(0)), 1000, 1001)]].concat());
}
