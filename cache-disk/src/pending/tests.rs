use cache_core::Digest;

use super::*;

fn key(n: u8) -> Key {
    Key::from(Digest::of([n]))
}

fn broken() -> Result<()> {
    Err(Error::new(ErrorKind::Unavailable, "disk", "flush"))
}

#[test]
fn a_failed_sync_keeps_failing_until_the_entries_are_written_again() {
    let pending = Pending::default();
    pending.add(&key(1));
    pending.add(&key(2));
    assert!(pending.flush_with(broken).is_err());
    assert!(pending.flush_with(|| Ok(())).is_err(), "a later sync that succeeds proves nothing");
    pending.add(&key(1));
    assert!(pending.flush_with(|| Ok(())).is_err());
    pending.forget(&key(2));
    assert!(pending.flush_with(|| Ok(())).is_ok());
}

#[test]
fn a_put_during_the_sync_waits_for_the_next_one() {
    let pending = Pending::default();
    pending.add(&key(1));
    let during = || {
        pending.add(&key(2));
        Ok(())
    };
    assert_eq!(pending.flush_with(during).unwrap(), 1);
    assert_eq!(pending.flush_with(|| Ok(())).unwrap(), 1);
    assert_eq!(pending.flush_with(|| Ok(())).unwrap(), 0);
}
