//! Stored bytes that are not those that were put.

use bytes::Bytes;
use cache_core::{CleanPolicy, ErrorKind, ListOptions, Namespace, PutMode, PutOptions, VerifyOptions};

use crate::{
    Factory,
    damaged::{Answer, Form, Patient, Way, corrupt_reads, never_swapped, never_wrong, positions, read},
    sample::{blobs, bytes, data, hours_ago, key, key_in, namespace, size},
};

/// Whichever byte is another, reads give the right bytes, a miss or `Corrupt`.
pub async fn flipped_bytes_are_never_served(factory: &dyn Factory) {
    never_wrong(factory, 24, |good| positions(good.len()).into_iter().map(Way::Flip).collect()).await;
}

/// Wherever an object is cut off, also at nothing, reads give no part of a blob.
pub async fn cut_off_objects_are_never_served(factory: &dyn Factory) {
    never_wrong(factory, 24, |good| positions(good.len()).into_iter().map(Way::Cut).collect()).await;
}

/// What an object has gained at its end never comes out of a read.
pub async fn grown_objects_are_never_served(factory: &dyn Factory) {
    never_wrong(factory, 1000, |good| {
        let more = [Bytes::from_static(b"\0"), bytes(1, 16), bytes(2, 64 << 10), Bytes::from(vec![0; 4096])];
        more.into_iter().chain([good.clone(), good.slice(good.len() / 2..)]).map(Way::Grow).collect()
    })
    .await;
}

/// Blobs of several blocks are verified piece by piece and range by range.
pub async fn damaged_large_blobs_are_never_served(factory: &dyn Factory) {
    never_wrong(factory, 150_000, |good| {
        let len = good.len();
        let hole = |at: usize| Way::Over(at, Bytes::from(vec![0; 4096]));
        let points = [0, 60, len / 4, len / 2, len - len / 4, len.saturating_sub(60), len - 1];
        let moved = Way::Over(len / 2, good.slice(len / 4..len / 2));
        let cuts = [len / 4, len / 2, len - 1].map(Way::Cut);
        points.map(Way::Flip).into_iter().chain(cuts).chain([hole(len / 3), hole(0), moved]).collect()
    })
    .await;
}

/// An entry that lost objects is a miss, or has the right bytes in the blobs that are left.
pub async fn removed_objects_are_misses(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let contents = |number: u64| blobs([("a", bytes(number, 100)), ("data", bytes(number + 50, 3000))]);
    for number in 0..11 {
        patient.store().put_new(&key(number), &contents(number)).await;
    }
    patient.stop().await;
    for number in 0..10 {
        let objects = patient.objects(&key(number)).await;
        // All of them, or one.
        let kept = if number < 5 { 0 } else { objects.len() - 1 };
        for object in objects.iter().skip(kept) {
            patient.damage.remove(object).await.expect("a removal");
        }
    }
    patient.start().await;
    let store = patient.store();
    for (number, form) in (0..).zip(Form::ALL.into_iter().chain(Form::ALL)) {
        let answer = read(store, &key(number), &contents(number), form).await;
        assert!(answer != Answer::Right || !store.info().tiers.is_empty(), "{form:?} reads what was removed");
        store.put_new(&key(number), &contents(number + 20)).await;
        store.assert_holds(&key(number), &contents(number + 20)).await;
    }
    store.assert_holds(&key(10), &contents(10)).await;
}

/// The bytes of one entry in the place of another's are damage.
pub async fn swapped_entries_are_never_served(factory: &dyn Factory) {
    never_swapped(factory, |number| {
        [number, number + 1].map(|number| (key(number), data(bytes(number, 500))))
    })
    .await;
}

/// The bytes of the same digest in another namespace are damage.
pub async fn swapped_namespaces_are_never_served(factory: &dyn Factory) {
    never_swapped(factory, |number| {
        [("a", number), ("b", number + 1)]
            .map(|(path, seed)| (key_in(&namespace(path), number), data(bytes(seed, 500))))
    })
    .await;
}

/// The bytes of another blob of the same entry are damage.
pub async fn swapped_blobs_are_never_served(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let contents = |number: u64| blobs([("a", bytes(number, 500)), ("data", bytes(number + 50, 500))]);
    for number in 0..5 {
        patient.store().put_new(&key(number), &contents(number)).await;
    }
    patient.stop().await;
    for number in 0..5 {
        let objects = patient.objects(&key(number)).await;
        // A store with one object for all blobs has no two to mix up.
        if let [one, .., other] = objects.as_slice() {
            let (first, second) = (patient.bytes_of(one).await, patient.bytes_of(other).await);
            patient.write(one, second).await;
            patient.write(other, first).await;
        }
    }
    patient.start().await;
    for (number, form) in (0..).zip(Form::ALL) {
        read(patient.store(), &key(number), &contents(number), form).await;
        read(patient.store(), &key(number), &contents(number), Form::Entry).await;
    }
}

/// A read that finds damage counts it, and is a miss, as is the next one.
pub async fn damage_is_counted_and_dropped(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let contents = |number: u64| data(bytes(number, 2000));
    for number in 0..5 {
        patient.store().put_new(&key(number), &contents(number)).await;
    }
    patient.stop().await;
    for number in 0..5 {
        patient.spoil(&key(number)).await;
    }
    patient.start().await;
    let store = patient.store();
    for (number, form) in (0..).zip(Form::ALL) {
        let (key, contents) = (key(number), contents(number));
        let before = store.metrics();
        let answer = read(store, &key, &contents, form).await;
        let counted = store.metrics().since(&before);
        if answer == Answer::Right || form == Form::Now {
            continue;
        }
        assert!(corrupt_reads(&counted) > 0, "{form:?} answers {answer:?}, and no damage is counted");
        if form == Form::Whole {
            assert_eq!((counted.hits, counted.misses, counted.errors), (0, 1, 0), "{form:?} is a miss");
        }
        let again = read(store, &key, &contents, Form::Whole).await;
        assert_ne!(again, Answer::Corrupt, "damage that {form:?} found was not dropped");
        if again == Answer::Miss && read(store, &key, &contents, Form::Entry).await == Answer::Miss {
            store.assert_absent(&key).await;
        }
    }
}

/// A put over a damaged entry makes it whole, before and after the damage was found.
pub async fn put_heals_damage(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let (old, new) = (data(bytes(1, 3000)), blobs([("data", bytes(2, 3000)), ("log", bytes(3, 10))]));
    let keys = [0, 1, 2, 3].map(key);
    for key in &keys {
        patient.store().put_new(key, &old).await;
    }
    patient.stop().await;
    for key in &keys {
        patient.spoil(key).await;
    }
    patient.start().await;
    let store = patient.store();
    store.put_new(&keys[0], &new).await;
    store.put_as(&keys[1], &new, PutOptions::mode(PutMode::Merge)).await;
    // Found, if it was not healed by itself, it is not there anymore.
    for (key, mode) in [(&keys[2], PutMode::Replace), (&keys[3], PutMode::Fill)] {
        if read(store, key, &old, Form::Whole).await != Answer::Right {
            store.put_as(key, &new, PutOptions::mode(mode)).await;
        } else {
            store.put_new(key, &new).await;
        }
    }
    for key in &keys {
        store.assert_holds(key, &new).await;
    }
    patient.stop().await;
    patient.start().await;
    for key in keys.iter().filter(|_| patient.store().info().powers.durable) {
        patient.store().assert_holds(key, &new).await;
    }
}

/// Damage of one entry fails no listing, no usage and no read of another.
pub async fn damage_leaves_other_entries_alone(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let contents = |number: u64| data(bytes(number, 300));
    let keys: Vec<_> = (0..12).map(|number| key_in(&namespace("a/b"), number)).collect();
    for (number, key) in (0..).zip(&keys) {
        patient.store().put_new(key, &contents(number)).await;
    }
    patient.stop().await;
    let damaged = |number: u64| number % 2 == 1;
    let ways =
        [Way::FlipMiddle, Way::Cut(0), Way::Cut(7), Way::Flip(0), Way::Grow(bytes(1, 9)), Way::Flip(50)];
    for (way, key) in ways.iter().zip(keys.iter().skip(1).step_by(2)) {
        patient.change(key, 0, way).await;
    }
    patient.start().await;
    let store = patient.store();
    for round in 0..2 {
        for scope in [Namespace::root(), namespace("a/b")] {
            let listed = store.keys(ListOptions::below(&scope)).await;
            let usage = store.usage_below(&scope).await;
            let whole = keys.iter().step_by(2);
            assert!(whole.clone().all(|key| listed.contains(key)), "round {round}: {listed:?}");
            assert!(usage.entries >= whole.count() as u64, "round {round}: {usage}");
        }
        for (number, key) in (0..).zip(&keys) {
            if !damaged(number) {
                store.assert_holds(key, &contents(number)).await;
                continue;
            }
            let asked = [store.contains(key).await.err(), store.meta(key).await.err()];
            for error in asked.into_iter().flatten() {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "a question about {key}: {error}");
            }
            read(store, key, &contents(number), Form::ALL[round * 3]).await;
        }
    }
}

/// A damaged entry can be evicted and cleaned away.
pub async fn damaged_entry_can_be_removed(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let ways = [Way::FlipMiddle, Way::Cut(0), Way::Cut(20), Way::Grow(bytes(1, 9))];
    let place = |number: usize| key_in(&namespace(["evicted", "cleaned"][number % 2]), number as u64);
    for number in 0..8 {
        let created = PutOptions::default().with_created(hours_ago(2));
        patient.store().put_as(&place(number), &data(bytes(number as u64, 700)), created).await;
        // In this order also where a put is written later: one that is cut to nothing fits whatever is kept, if it is
        // the most recent.
        patient.store().flush().await.expect("a flush");
    }
    let other = data("another entry");
    patient.store().put_new(&key(9), &other).await;
    patient.stop().await;
    for number in 0..8 {
        patient.change(&place(number), 0, &ways[number / 2]).await;
    }
    patient.start().await;
    let store = patient.store();
    for number in (0..8).step_by(2) {
        store.evict(&place(number)).await.expect("an eviction");
        store.assert_absent(&place(number)).await;
    }
    let everything = CleanPolicy::default().with_max_bytes(0);
    store.clean(&namespace("cleaned"), &everything).await.expect("a clean");
    for number in (1..8).step_by(2) {
        store.assert_absent(&place(number)).await;
    }
    store.assert_usage(&Namespace::root(), 1, size(&other)).await;
    store.assert_holds(&key(9), &other).await;
}

/// Damage under an open store gives no wrong bytes, whatever it keeps in memory.
pub async fn damage_under_an_open_store_is_never_served(factory: &dyn Factory) {
    let patient = Patient::open(factory).await;
    let store = patient.store();
    let contents = |number: u64| data(bytes(number, 5000));
    let ways = [Way::FlipMiddle, Way::Cut(0), Way::Cut(3000), Way::Grow(bytes(1, 9))];
    let cases: Vec<_> = ways.iter().flat_map(|way| Form::ALL.map(|form| (way, form))).collect();
    for (number, (_, form)) in (0..).zip(&cases) {
        store.put_new(&key(number), &contents(number)).await;
        // Some it has read before, some it has not.
        if number % 2 == 0 {
            assert_ne!(read(store, &key(number), &contents(number), *form).await, Answer::Corrupt);
        }
    }
    store.flush().await.expect("a flush");
    for (number, (way, form)) in (0..).zip(&cases) {
        patient.change(&key(number), 0, way).await;
        for form in [*form, Form::Whole, Form::Entry, Form::Now] {
            read(store, &key(number), &contents(number), form).await;
        }
        store.put_new(&key(number), &contents(number + 100)).await;
        store.assert_holds(&key(number), &contents(number + 100)).await;
    }
}

/// A verify finds every damaged entry; what it does not repair is named, and gone.
pub async fn verify_finds_all_damage(factory: &dyn Factory) {
    let mut patient = Patient::open(factory).await;
    let contents = |number: u64| data(bytes(number, if number.is_multiple_of(2) { 500 } else { 300_000 }));
    for number in 0..12 {
        patient.store().put_new(&key(number), &contents(number)).await;
    }
    patient.stop().await;
    let ways = [Way::FlipMiddle, Way::Cut(40), Way::Grow(bytes(1, 9))];
    for (number, way) in (0..6).zip(ways.iter().cycle()) {
        patient.change(&key(number), 0, way).await;
    }
    patient.start().await;
    let store = patient.store();
    let corrupt = store.metrics().corrupt;
    let report = store.verify(&Namespace::root(), &VerifyOptions::default()).await.expect("a verify");
    assert!(report.damaged >= 6, "six entries are damaged: {report}");
    assert_eq!(report.lost.len() as u64, report.damaged - report.repaired, "lost entries that are not named");
    assert_eq!(report.is_sound(), report.lost.is_empty(), "{report}");
    assert!(store.metrics().corrupt >= corrupt + report.damaged, "damage that is not counted");
    for number in 0..12 {
        if report.lost.contains(&key(number)) {
            assert!(number < 6, "entry {number} is sound, and told lost");
            store.assert_absent(&key(number)).await;
        } else {
            store.assert_holds(&key(number), &contents(number)).await;
        }
    }
    let again = store.verify(&Namespace::root(), &VerifyOptions::default()).await.expect("a verify");
    assert!(again.is_sound() && again.damaged == 0, "damage that was dealt with is found again: {again}");
}
