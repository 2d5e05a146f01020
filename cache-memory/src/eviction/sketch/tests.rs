use super::*;

fn hash(key: u64) -> u64 {
    // As different as digests are.
    (key ^ 0x1234_5678)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        .rotate_left(32)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

#[test]
fn a_key_is_never_seen_less_often_than_it_was() {
    let mut sketch = Sketch::default();
    for held in 1..=1000 {
        sketch.admit(held);
    }
    for key in 0..2000 {
        sketch.raise(hash(key), (key % 16 + 1).try_into().unwrap());
    }
    for key in 0..2000 {
        assert!(u64::from(sketch.estimate(hash(key))) > key % 16, "{key}");
    }
    sketch.raise(hash(0), u8::MAX);
    assert_eq!(sketch.estimate(hash(0)), COUNTER_MAX + 1);
}

#[test]
fn growth_forgets_nothing() {
    let mut sketch = Sketch::default();
    for key in 0..40 {
        sketch.raise(hash(key), 5);
    }
    let before = sketch.bytes();
    sketch.admit(1000);
    assert!(sketch.bytes() >= 1000 * 8 && before < 1000);
    assert!((0..40).all(|key| sketch.estimate(hash(key)) >= 5));
}

#[test]
fn few_strangers_are_taken_for_known() {
    let mut sketch = Sketch::default();
    sketch.admit(1024);
    let (strangers, seen_once) = (10_000..20_000_u64, 0..4 * 1024_u64);
    for key in seen_once {
        sketch.raise(hash(key), 1);
    }
    let known = strangers.clone().filter(|key| sketch.estimate(hash(*key)) > 0).count();
    // Almost as many as it is made for before it forgets.
    assert!(known < 500, "{known} of {}", strangers.count());
}

#[test]
fn it_forgets_after_a_while() {
    let mut sketch = Sketch::default();
    sketch.raise(hash(1), 9);
    for _ in 1..SAMPLE * FEWEST_WORDS {
        sketch.admit(1);
    }
    assert_eq!(sketch.estimate(hash(1)), 9);
    sketch.admit(1);
    assert_eq!(sketch.estimate(hash(1)), 0);
    // When it is seen again, it is known to have been frequent.
    sketch.raise(hash(1), 1);
    assert_eq!(sketch.estimate(hash(1)), 5);
}
