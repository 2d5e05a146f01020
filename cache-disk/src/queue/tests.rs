use super::*;

fn digest(n: u8) -> Digest {
    Digest::from_bytes([n; 32])
}

fn queue(room: usize, entries: &[(u8, u64, i64)]) -> Queue {
    let mut oldest = Oldest::new(100, room);
    for (n, bytes, used) in entries {
        oldest.see(&Namespace::root(), digest(*n), Held { bytes: *bytes, used: Used(*used) });
    }
    oldest.into_queue()
}

fn popped(queue: &mut Queue) -> Vec<u8> {
    std::iter::from_fn(|| queue.pop()).map(|victim| victim.key.digest.as_bytes()[0]).collect()
}

#[test]
fn what_fits_nowhere_goes_first_and_then_what_was_not_used_for_longest() {
    let entries = [(1, 10, 30), (2, 10, 10), (3, 101, 40), (4, 10, 20), (5, 10, 10)];
    assert_eq!(popped(&mut queue(9, &entries)), [3, 2, 5, 4, 1]);
    assert_eq!(popped(&mut queue(2, &entries)), [3, 2]);
}

#[test]
fn only_where_no_entry_was_left_out_the_last_one_is_the_newest() {
    let entries = [(1, 10, 30), (2, 10, 10)];
    for (room, is_known) in [(2, true), (1, false)] {
        let mut queue = queue(room, &entries);
        assert!(room == 1 || !queue.was_newest());
        while queue.pop().is_some() {}
        assert_eq!(queue.was_newest(), is_known);
    }
}

#[test]
fn what_was_used_meanwhile_goes_later_and_never_before_what_is_not_in_the_queue() {
    let mut queue = queue(9, &[(1, 10, 10), (2, 10, 20), (3, 10, 30)]);
    let first = queue.pop().unwrap();
    queue.defer(first, Used(25));
    let second = queue.pop().unwrap();
    queue.defer(second, Used(31));
    assert_eq!(popped(&mut queue), [1, 3]);
    assert!(!queue.was_newest());
}
