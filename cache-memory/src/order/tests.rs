#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test may fail")]

use cache_core::Digest;

use super::*;

const NOBODY: u16 = u16::MAX;

fn key(n: u16) -> Key {
    Key::from(Digest::of(n.to_be_bytes()))
}

/// An order of so many entries, each put and then read so often.
fn order(policy: Policy, reads: &[u16]) -> (Order, Vec<Standing>) {
    let mut order = Order::new(policy);
    let mut standings: Vec<_> = (0..).zip(reads).map(|(n, _)| order.insert(key(n), None)).collect();
    for (standing, reads) in standings.iter_mut().zip(reads) {
        for _ in 0..*reads {
            order.touch(standing);
        }
    }
    (order, standings)
}

#[track_caller]
fn check(policy: Policy, reads: &[u16], expected: &[u16]) {
    let (order, _) = order(policy, reads);
    let keys: Vec<_> = order.keys().cloned().collect();
    assert_eq!(keys, expected.iter().map(|n| key(*n)).collect::<Vec<_>>());
}

#[test]
fn the_least_recently_used_goes_first() {
    check(Policy::Lru, &[9, 0, 4], &[1, 0, 2]);
}

#[test]
fn the_least_frequently_used_goes_first_and_equals_by_last_use() {
    check(Policy::Lfu, &[9, 0, 4], &[1, 2, 0]);
    check(Policy::Lfu, &[1, 2, 3, 1], &[0, 3, 1, 2]);
    check(Policy::Lfu, &[999, 1000, 998], &[2, 0, 1]);
}

/// Puts entries that nobody reads, one for each that goes, until `hot` does; answers how many.
fn outlived(order: &mut Order, hot: u16) -> u16 {
    for n in 1000..NOBODY {
        let victim = order.next(&key(NOBODY)).unwrap();
        let rank = *order.ranks.iter().find(|(_, key)| **key == victim).unwrap().0;
        order.ranks.remove(&rank);
        if victim == key(hot) {
            return n - 1000;
        }
        order.insert(key(n), None);
    }
    panic!("it stays for ever");
}

#[test]
fn what_was_hot_yesterday_goes_at_last() {
    let (mut once, _) = order(Policy::Lfu, &[1; 10]);
    assert_eq!(outlived(&mut once, 0), 0);
    let (mut seldom, _) = order(Policy::Lfu, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (mut often, _) = order(Policy::Lfu, &[1023, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (seldom, often) = (outlived(&mut seldom, 0), outlived(&mut often, 0));
    // Twice ten times, and ten times, a hundred evictions, give or take a turn.
    assert!((90..=110).contains(&seldom), "{seldom}");
    assert!((990..=1010).contains(&often), "{often}");
}

#[test]
fn uses_of_long_ago_count_less() {
    let (mut order, mut standings) = order(Policy::Lfu, &[1023, 3]);
    order.age += 7 * HALF_LIFE;
    order.touch(&mut standings[0]);
    assert_eq!(standings[0].uses, 1024 / 128 + 1);
    order.age += 1000 * HALF_LIFE;
    order.touch(&mut standings[0]);
    assert_eq!(standings[0].uses, 1);
}

#[test]
fn uses_while_the_store_fills_count_like_later_ones() {
    let mut order = Order::new(Policy::Lfu);
    let mut first = order.insert(key(0), None);
    order.touch(&mut first);
    order.touch(&mut first);
    for n in 1..100 {
        order.insert(key(n), None);
    }
    let mut last = order.insert(key(100), None);
    order.touch(&mut last);
    assert!(last.rank < first.rank);
}

#[track_caller]
fn check_outlives(uses: u64, half_lives: f64) {
    assert_eq!(outlives(uses), (half_lives * HALF_LIFE as f64) as u64);
}

#[test]
fn a_doubling_of_uses_outlives_a_half_life() {
    check_outlives(1, 0.0);
    check_outlives(2, 1.0);
    check_outlives(3, 1.5);
    check_outlives(4, 2.0);
    check_outlives(1 << 63, 63.0);
    assert!(outlives(u64::MAX) < outlives(u64::MAX / 2) + HALF_LIFE + 1);
}
