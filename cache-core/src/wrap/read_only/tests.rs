use futures::{StreamExt, TryStreamExt, stream};

use super::*;
use crate::{Digest, Powers, PutMode, StoreExt, wrap::probe::Probe};

fn key() -> Key {
    Key::from(Digest::of("k"))
}

fn reading(powers: Powers) -> (ReadOnly<Probe>, Probe) {
    let probe = Probe { powers, ..Probe::default() };
    probe.plant(&key(), BlobName::DATA, "value");
    (ReadOnly::new(probe.clone()), probe)
}

#[tokio::test]
async fn writes_are_unsupported_and_touch_nothing_below() {
    let (store, probe) = reading(Powers::default());
    let unread = || stream::poll_fn(|_| panic!("the stream is read")).boxed();
    for mode in [PutMode::Replace, PutMode::Merge, PutMode::Fill] {
        for entry in [
            PutEntry::data("new"),
            PutEntry::default(),
            PutEntry::default().with_stream(BlobName::DATA, None, unread()),
        ] {
            let error = store.put(&key(), entry, PutOptions::mode(mode)).await.unwrap_err();
            assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, "put"));
            assert_eq!((error.store(), error.key()), ("probe", Some(&key())));
            assert!(error.to_string().contains("read-only"), "{error}");
        }
    }
    let error = store.evict(&key()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, "evict"));
    assert_eq!(error.key(), Some(&key()));
    for policy in [CleanPolicy::default(), CleanPolicy::default().with_max_bytes(0)] {
        let error = store.clean(&Namespace::root(), &policy).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, "clean"));
    }
    assert_eq!(probe.calls(), [""; 0]);
    assert_eq!(probe.holds(&key(), &BlobName::DATA).unwrap(), "value");
}

#[tokio::test]
async fn reads_pass() {
    let (store, probe) = reading(Powers::default());
    assert!(store.contains(&key()).await.unwrap());
    assert_eq!(store.get_now(key().view(), &BlobName::DATA).unwrap(), "value");
    let read = store.get(&key(), &BlobName::DATA, GetOptions::default()).await.unwrap().unwrap();
    assert_eq!(read.bytes().unwrap(), "value");
    assert!(store.get_entry(&key(), GetOptions::default()).await.unwrap().is_some());
    assert!(store.meta(&key()).await.unwrap().is_some());
    assert_eq!(store.usage(&Namespace::root()).await.unwrap().entries, 1);
    let listed: Vec<_> = store.list(ListOptions::default()).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(probe.calls(), ["contains", "get_now", "get", "get_entry", "meta", "usage", "list"]);
    assert!(store.shrink(&key()).await.is_ok());
}

#[tokio::test]
async fn flush_asks_nobody_and_tells_the_declared_durability() {
    for durable in [true, false] {
        let (store, probe) = reading(Powers { durable, ..Powers::default() });
        let report = store.flush().await.unwrap();
        assert_eq!((report.durable, report.entries), (durable, 0));
        assert_eq!(probe.calls(), [""; 0]);
    }
}

#[tokio::test]
async fn info_keeps_limits_and_drops_the_powers_of_writers() {
    let all = Powers {
        durable: true,
        shared: true,
        bounded: true,
        recency: true,
        dated: true,
        shared_bytes: true,
        cross_process_merge: true,
        streaming: true,
        spills: true,
    };
    let (store, probe) = reading(all);
    let mut expected = probe.info();
    expected.powers = Powers { cross_process_merge: false, spills: false, ..all };
    assert_eq!(store.info(), expected);
    assert_eq!((store.info().max_bytes, store.info().max_blob_bytes), (Some(1000), Some(500)));
}

#[tokio::test]
async fn close_is_passed_on_and_told_by_all_clones() {
    let (store, probe) = reading(Powers::default());
    let clone = store.clone();
    assert_eq!(store.close(None).await.unwrap().left, 3);
    assert_eq!(probe.calls(), ["close"]);
    for store in [store, clone] {
        let errors = [
            store.put_bytes(&key(), "new".into()).await.unwrap_err(),
            store.evict(&key()).await.unwrap_err(),
            store.clean(&Namespace::root(), &CleanPolicy::default()).await.unwrap_err(),
            store.flush().await.unwrap_err(),
        ];
        assert_eq!(errors.map(|error| error.kind()), [ErrorKind::Closed; 4]);
    }
}

#[tokio::test]
async fn verify_reads_and_repairs_nothing() {
    struct Never;

    #[async_trait]
    impl crate::Repair for Never {
        async fn repair(&self, _key: &Key) -> Result<bool> {
            panic!("a repair writes");
        }
    }

    let (store, _) = reading(Powers::default());
    let options = VerifyOptions::default().for_tier(&"tier".into(), Some(Arc::new(Never)));
    let report = store.verify(&Namespace::root(), &options).await.unwrap();
    assert_eq!((report.entries, report.is_sound()), (1, true));
    let toy = crate::toy::Toy::damaged(key().digest);
    let report = ReadOnly::new(toy).verify(&Namespace::root(), &options).await.unwrap();
    assert_eq!((report.damaged, report.repaired), (1, 0));
}
