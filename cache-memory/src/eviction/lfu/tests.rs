use super::*;

const LEN: usize = 10;
const HELD: u64 = LEN as u64;
const HOT: u32 = 0;

/// An entry that was used so often and ones that were not, in a store of ten.
fn used(uses: u8) -> (Lfu, Clock, [u8; LEN]) {
    let (mut order, clock) = (Lfu::default(), Clock::default());
    for index in 0..10 {
        order.insert(index, &clock, HELD);
    }
    let mut counters = [0; LEN];
    counters[HOT as usize] = uses;
    (order, clock, counters)
}

/// Puts entries that nobody reads, one for each that goes, until the hot one does; answers how many.
fn outlived(uses: u8) -> u32 {
    let (mut order, clock, mut counters) = used(uses);
    for gone in 0..100_000 {
        let victim =
            order.victim(&clock, &mut |index| std::mem::take(&mut counters[index as usize])).unwrap();
        if victim.index == HOT {
            return gone;
        }
        order.evicted(victim.index, &clock, HELD);
        order.insert(victim.index, &clock, HELD);
    }
    panic!("it stays for ever");
}

#[test]
fn what_was_hot_yesterday_goes_at_last() {
    assert_eq!(outlived(0), 0);
    let (seldom, often) = (outlived(1), outlived(u8::MAX));
    // A store of less than sixteen turns as if it held so many: ten turns for a doubling.
    assert!((150..=170).contains(&seldom), "{seldom}");
    assert!((1100..=1250).contains(&often), "{often}");
}

#[test]
fn the_least_frequently_used_goes_first_and_equals_in_the_order_of_coming() {
    let (mut order, clock, mut counters) = used(0);
    counters = [9, 0, 4, 1, 9, 3, 0, 1, 40, 20].map(|uses: u8| uses.max(counters[0]));
    let mut gone = Vec::new();
    while let Some(victim) = order.victim(&clock, &mut |index| std::mem::take(&mut counters[index as usize]))
    {
        order.remove(victim.index);
        gone.push(victim.index);
    }
    assert_eq!(gone, [1, 6, 3, 7, 2, 5, 0, 4, 9, 8]);
}

#[test]
fn no_put_looks_at_all_entries() {
    let (mut order, clock) = (Lfu::default(), Clock::default());
    for index in 0..1000 {
        order.insert(index, &clock, 1000);
    }
    let mut looks = 0;
    let victim = order.victim(&clock, &mut |_| {
        looks += 1;
        1
    });
    assert!(victim.is_some() && looks <= LOOKS, "{looks}");
}
