use cache_core::Digest;

use super::*;

fn key() -> Key {
    Key::from(Digest::of("k"))
}

#[tokio::test]
async fn a_promotion_that_read_before_a_write_is_refused() {
    let locks = KeyLocks::default();
    let before = locks.ticket(&key());
    let write = locks.write(&key()).await;
    let during = locks.ticket(&key());
    assert!(during.claim().is_none());
    drop(write);
    let after = locks.ticket(&key());
    assert!(before.claim().is_none() && during.claim().is_none() && after.claim().is_some());
}

#[tokio::test]
async fn a_right_to_promote_holds_when_its_ticket_is_gone() {
    let locks = KeyLocks::default();
    let ticket = locks.ticket(&key());
    let promoting = ticket.claim().unwrap();
    drop(ticket);
    let early = tokio::time::timeout(std::time::Duration::from_millis(5), locks.write(&key())).await;
    assert!(early.is_err());
    drop(promoting);
    drop(locks.write(&key()).await);
    assert!(locks.map().is_empty());
}

#[tokio::test]
async fn nothing_is_kept_of_keys_that_nobody_works_on() {
    let locks = KeyLocks::default();
    let ticket = locks.ticket(&key());
    let waiting = locks.clone();
    let write = locks.write(&key()).await;
    let queued = tokio::time::timeout(std::time::Duration::from_millis(5), waiting.write(&key())).await;
    assert!(queued.is_err());
    drop((ticket, write));
    assert!(locks.map().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_keys_whose_watchers_leave_together() {
    let locks = KeyLocks::default();
    for n in 0..20_000_u32 {
        let key = Key::from(Digest::of(n.to_le_bytes()));
        let watchers = [locks.ticket(&key), locks.ticket(&key)];
        tokio::task::JoinSet::from_iter(watchers.map(|watcher| async move { drop(watcher) }))
            .join_all()
            .await;
    }
    assert!(locks.map().is_empty());
}
