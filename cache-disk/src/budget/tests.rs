use super::*;

#[test]
fn the_limits_are_apart_where_there_is_room_and_never_pass_the_largest_number() {
    assert_eq!((low_watermark(3200), hard_limit(3200)), (3100, 3360));
    assert_eq!((low_watermark(0), hard_limit(0)), (0, 0));
    assert_eq!((low_watermark(1), hard_limit(1)), (1, 1));
    assert_eq!(hard_limit(u64::MAX), u64::MAX);
}

fn told(bytes: u64) -> io::Result<Totals> {
    Ok(Totals { bytes, ..Totals::default() })
}

#[test]
fn of_two_looks_the_one_that_began_last_counts() {
    let budget = Budget::default();
    let older = budget.look(|| {
        budget.look(|| told(20)).unwrap();
        told(10)
    });
    assert_eq!((older.unwrap().bytes, budget.held()), (10, 20));
    budget.look(|| told(5)).unwrap();
    assert_eq!(budget.held(), 5);
    assert!(budget.look(|| Err(io::Error::other("not to be read"))).is_err());
    assert_eq!(budget.held(), 5);
}

#[test]
fn what_is_on_its_way_counts_until_it_has_ended() {
    let budget = Budget::default();
    budget.look(|| told(90)).unwrap();
    assert!(budget.take_room(10, 100));
    assert!(!budget.take_room(10, 100), "110 of 105");
    assert!(budget.take_room(5, 100));
    budget.give_room(10);
    assert!(budget.take_room(10, 100));
    budget.give_room(10);
    budget.give_room(5);
    assert!(budget.take_room(1000, 100), "one has room, whatever its size");
    budget.give_room(1000);
    budget.look(|| told(106)).unwrap();
    assert!(!budget.take_room(0, 100), "but not if much too much is held");
}
