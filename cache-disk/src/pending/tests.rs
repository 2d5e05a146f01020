use cache_core::Digest;

use super::*;

fn key(n: u8) -> Key {
    Key::from(Digest::of([n]))
}

fn broken() -> Result<()> {
    Err(Error::new(ErrorKind::Unavailable, "disk", "flush"))
}

fn put(pending: &Pending, n: u8) {
    put_since(pending, n, pending.epoch());
}

fn put_since(pending: &Pending, n: u8, begun: Epoch) {
    pending.announce(&key(n));
    pending.written(&key(n), begun, true);
}

fn flush(pending: &Pending, sync: impl FnOnce() -> Result<()>) -> Result<u64> {
    pending.flush_with(sync, |_| true)
}

#[test]
fn a_failed_sync_keeps_failing_until_the_entries_are_written_again() {
    let pending = Pending::default();
    put(&pending, 1);
    put(&pending, 2);
    assert!(flush(&pending, broken).is_err());
    let error = flush(&pending, || Ok(())).unwrap_err();
    assert!(error.to_string().contains("2 entries"), "a later sync that succeeds proves nothing: {error}");
    put(&pending, 1);
    let error = flush(&pending, || Ok(())).unwrap_err();
    assert!(error.to_string().contains(&key(2).to_string()), "{error}");
    pending.forget(&key(2));
    assert!(flush(&pending, || Ok(())).is_ok());
}

#[test]
fn a_put_during_the_sync_waits_for_the_next_one() {
    let pending = Pending::default();
    put(&pending, 1);
    let during = || {
        put(&pending, 2);
        Ok(())
    };
    assert_eq!(flush(&pending, during).unwrap(), 1);
    assert_eq!(flush(&pending, || Ok(())).unwrap(), 1);
    assert_eq!(flush(&pending, || Ok(())).unwrap(), 0);
}

#[test]
fn a_put_during_a_sync_that_fails_is_lost_with_it() {
    let pending = Pending::default();
    put(&pending, 1);
    let during = || {
        put(&pending, 1);
        put(&pending, 2);
        broken()
    };
    assert!(flush(&pending, during).is_err());
    put(&pending, 1);
    let error = flush(&pending, || Ok(())).unwrap_err();
    assert!(error.to_string().contains(&key(2).to_string()), "{error}");
    put(&pending, 2);
    assert!(flush(&pending, || Ok(())).is_ok());
}

#[test]
fn a_put_that_began_before_a_failed_sync_and_ended_after_it_is_lost() {
    let pending = Pending::default();
    let begun = pending.epoch();
    assert!(flush(&pending, broken).is_err());
    put_since(&pending, 1, begun);
    assert!(flush(&pending, || Ok(())).is_err());
    put(&pending, 1);
    assert!(flush(&pending, || Ok(())).is_ok());
}

#[test]
fn a_merge_into_a_lost_entry_leaves_it_lost() {
    let pending = Pending::default();
    put(&pending, 1);
    assert!(flush(&pending, broken).is_err());
    pending.announce(&key(1));
    pending.written(&key(1), pending.epoch(), false);
    assert!(flush(&pending, || Ok(())).is_err(), "the kept blobs are still those that were lost");
}

#[test]
fn a_lost_entry_that_is_no_longer_there_is_forgotten() {
    let pending = Pending::default();
    put(&pending, 1);
    assert!(flush(&pending, broken).is_err());
    assert!(pending.flush_with(|| Ok(()), |_| false).is_ok());
}

#[test]
fn a_flush_syncs_unless_nothing_happened_since_the_last_one() {
    let pending = Pending::default();
    let syncs = std::cell::Cell::new(0);
    let flush = || {
        let sync = || {
            syncs.set(syncs.get() + 1);
            Ok(())
        };
        assert!(pending.flush_with(sync, |_| true).is_ok());
        syncs.get()
    };
    assert_eq!(flush(), 1, "what a predecessor left is not known to be durable");
    assert_eq!(flush(), 1);
    pending.announce(&key(1));
    assert_eq!(flush(), 2);
    pending.forget(&key(1));
    assert_eq!(flush(), 3, "a removal is durable after a flush too");
    assert_eq!(flush(), 3);
}
