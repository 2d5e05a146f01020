#![expect(clippy::cast_possible_truncation, reason = "the numbers of a test are small")]

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use super::*;

fn watched() -> (Arc<Readings>, mpsc::Receiver<u64>) {
    let (released, receiver) = mpsc::channel();
    (Readings::new(move |id| released.send(id).unwrap()), receiver)
}

fn hold(readings: &Arc<Readings>, id: u64) -> Vec<Reading> {
    readings.hold(|| Ok::<_, ()>(Some((vec![id], ())))).unwrap().unwrap().0
}

#[test]
fn what_is_read_may_not_be_removed_until_its_last_stream_has_ended() {
    let (readings, released) = watched();
    let (one, two) = (hold(&readings, 7), hold(&readings, 7));
    assert!(!readings.may_remove(7));
    assert!(readings.may_remove(8));
    drop(one);
    assert!(!readings.may_remove(7));
    assert!(released.try_recv().is_err());
    drop(two);
    assert_eq!(released.try_recv(), Ok(7));
    assert!(readings.may_remove(7));
    assert!(released.try_recv().is_err());
}

#[test]
fn nobody_is_told_of_what_the_writer_does_not_want() {
    let (readings, released) = watched();
    drop(hold(&readings, 7));
    assert!(released.try_recv().is_err());
    assert!(readings.open().is_empty());
}

#[test]
fn who_is_told_may_ask_at_once() {
    let own: Arc<Mutex<Option<Arc<Readings>>>> = Arc::default();
    let inner = Arc::clone(&own);
    let told = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&told);
    let readings = Readings::new(move |id| {
        let readings = inner.lock().unwrap().clone().unwrap();
        tells.store(readings.may_remove(id), Ordering::Relaxed);
    });
    *own.lock().unwrap() = Some(Arc::clone(&readings));
    let reading = hold(&readings, 1);
    assert!(!readings.may_remove(1));
    drop(reading);
    assert!(told.load(Ordering::Relaxed));
    own.lock().unwrap().take();
}

#[test]
fn a_version_that_is_replaced_meanwhile_is_looked_up_again() {
    let (readings, _released) = watched();
    let mut versions = vec![3, 3, 2, 1].into_iter();
    let (held, found) = readings
        .hold(|| {
            let version = versions.next_back().unwrap();
            Ok::<_, ()>(Some((vec![version, version + 10], version)))
        })
        .unwrap()
        .unwrap();
    assert_eq!((held.iter().map(|reading| reading.id).collect::<Vec<_>>(), found), (vec![3, 13], 3));
    // Of the versions before, nothing is held.
    assert_eq!(
        [1, 2, 3, 11, 12, 13].map(|id| readings.may_remove(id)),
        [true, true, false, true, true, false]
    );
}

#[test]
fn what_is_gone_or_fails_holds_nothing() {
    let (readings, _released) = watched();
    let mut looks = vec![None, Some((vec![1], ()))].into_iter();
    assert!(readings.hold(|| Ok::<_, ()>(looks.next_back().unwrap())).unwrap().is_none());
    let mut looks = vec![Err("failed"), Ok(Some((vec![2], ())))].into_iter();
    assert_eq!(readings.hold(|| looks.next_back().unwrap()).unwrap_err(), "failed");
    assert!(readings.open().is_empty());
}

#[test]
fn what_has_no_chunks_is_looked_up_once() {
    let (readings, _released) = watched();
    let mut looks = 0;
    let look = || {
        looks += 1;
        Ok::<_, ()>(Some((Vec::new(), ())))
    };
    assert!(readings.hold(look).unwrap().unwrap().0.is_empty());
    assert_eq!(looks, 1);
}

/// A writer that replaces a blob all the time, and removes what it may; readers that find what they hold removed
/// have lost the race.
#[test]
fn no_chunk_is_removed_that_a_reader_holds() {
    const VERSIONS: u64 = 20_000;
    let (readings, released) = watched();
    let current = AtomicU64::new(0);
    let removed: Vec<AtomicBool> = (0..=VERSIONS).map(|_| AtomicBool::new(false)).collect();
    let held = AtomicU64::new(0);
    thread::scope(|scope| {
        let read = || {
            while current.load(Ordering::Acquire) < VERSIONS {
                let look = || {
                    let id = current.load(Ordering::Acquire);
                    Ok::<_, ()>(Some((vec![id], id)))
                };
                let (reading, id) = readings.hold(look).unwrap().unwrap();
                for _ in 0..50 {
                    assert!(!removed[id as usize].load(Ordering::Acquire), "{id} was removed");
                    std::hint::spin_loop();
                }
                held.fetch_add(1, Ordering::Relaxed);
                drop(reading);
            }
        };
        let readers = [scope.spawn(read), scope.spawn(read), scope.spawn(read)];
        // Who looks up an old version late may register it for a moment: then it is told of again.
        let remove = |id: u64| {
            if readings.may_remove(id) {
                removed[id as usize].store(true, Ordering::Release);
            }
        };
        for id in 0..VERSIONS {
            current.store(id + 1, Ordering::Release);
            remove(id);
            released.try_iter().for_each(remove);
            if id % 64 == 0 {
                thread::yield_now();
            }
            // The readers keep up: a busy machine may have them begin late.
            while held.load(Ordering::Relaxed) * 100 < id
                && readers.iter().any(|reader| !reader.is_finished())
            {
                thread::yield_now();
            }
        }
    });
    for id in released.try_iter() {
        removed[id as usize].store(true, Ordering::Release);
    }
    assert!(held.load(Ordering::Relaxed) > 100);
    let left = (0..VERSIONS).filter(|id| !removed[*id as usize].load(Ordering::Acquire)).count();
    assert_eq!(left, 0, "versions whose chunks nobody removes");
}
