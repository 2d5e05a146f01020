use std::time::{Duration, UNIX_EPOCH};

use cache_core::{Digest, Key};

use super::*;

fn entry(number: u64, bytes: u64) -> EntryMeta {
    let mut meta = EntryMeta::new(Key::from(Digest::of(number.to_le_bytes())), bytes);
    meta.modified = Some(UNIX_EPOCH + Duration::from_secs(number));
    meta
}

fn gone(budget: &Budget, sizes: &[u64]) -> usize {
    let entries: Vec<_> =
        sizes.iter().enumerate().map(|(at, bytes)| entry(at as u64, *bytes)).rev().collect();
    let held: u64 = entries.iter().map(EntryMeta::counted_bytes).sum();
    let victims = budget.victims(entries, held);
    let ages: Vec<_> = victims.iter().map(|victim| victim.modified).collect();
    assert!(ages.is_sorted(), "the least recent go first");
    victims.len()
}

#[test]
fn those_that_fit_stay_and_some_room_is_made_for_others() {
    let budget = Budget::new(100);
    assert_eq!(gone(&budget, &[]), 0);
    assert_eq!(gone(&budget, &[50, 50]), 0);
    assert_eq!(gone(&budget, &[10; 10]), 0);
    assert_eq!(gone(&budget, &[10; 11]), 2);
    assert_eq!(gone(&budget, &[1; 120]), 30);
    assert_eq!(gone(&budget, &[60, 60]), 1);
    assert_eq!(gone(&budget, &[5, 100]), 1, "one may fill the budget");
    assert_eq!(gone(&budget, &[100, 5]), 1);
    assert_eq!(gone(&budget, &[50, 45, 10]), 1);
}

#[test]
fn somebody_looks_once_when_it_may_be_over() {
    let budget = Budget::new(800);
    assert!(budget.may_be_over(), "nobody knows yet");
    assert!(!budget.put(10));
    assert!(budget.put(1));
    assert!(!budget.put(500), "somebody is on the way");
    budget.begin();
    budget.know(720);
    assert!(!budget.may_be_over());
    assert!(!budget.put(10));
    assert!(budget.put(1));
    assert!(budget.may_be_over());
    budget.begin();
    budget.know(800);
    assert!(!budget.may_be_over(), "it is full, and nothing was put");
    assert!(!budget.put(1), "nor does every put look then");
    assert!(budget.may_be_over(), "but a flush does");
    budget.begin();
    budget.know(0);
    assert!(!budget.put(10));
    assert!(!budget.may_be_over());
    assert!(budget.put(1));
    assert!(budget.may_be_over(), "others have put since, too");
    budget.begin();
    budget.know(801);
    assert!(budget.may_be_over(), "some could not go");
    budget.begin();
    assert!(budget.may_be_over());
}
