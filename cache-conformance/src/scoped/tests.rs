use std::{sync::Arc, time::Duration};

use cache_core::{
    BlobName, CleanPolicy, Deadline, Digest, ErrorKind, GetOptions, Key, KeyManagement, ListOptions,
    Namespace, Powers, PutEntry, PutOptions, Store, StoreExt, StoreInfo,
};
use futures::TryStreamExt;

use super::{Scoped, withdraw_budgets};
use crate::{Reference, ReferenceStore, Setup, fault::Hanging};

fn store() -> ReferenceStore {
    Reference::default().store(&Setup::default().with_max_bytes(1 << 20)).unwrap()
}

fn key(path: &str, name: &str) -> Key {
    Key::new(path.parse().unwrap(), Digest::of(name))
}

async fn keys(store: &impl Store, options: ListOptions) -> Vec<Key> {
    store.list(options).map_ok(|entry| entry.key).try_collect().await.unwrap()
}

#[tokio::test]
async fn entries_lie_below_the_namespace_and_no_others_are_seen() {
    let (inner, namespace) = (store(), "a/b".parse::<Namespace>().unwrap());
    let view = Scoped::new(Arc::new(inner.clone()), namespace);
    for path in ["", "a", "a/bc", "b", "a/c"] {
        inner.put_bytes(&key(path, "one"), "other".into()).await.unwrap();
    }
    view.put_bytes(&key("", "one"), "mine".into()).await.unwrap();
    view.put_bytes(&key("b", "one"), "mine".into()).await.unwrap();

    let mine = [key("", "one"), key("b", "one")];
    assert_eq!(keys(&view, ListOptions::default().recursive()).await, mine);
    assert_eq!(keys(&view, ListOptions::default()).await, mine[..1]);
    let after = ListOptions::default().recursive().with_start_after(mine[0].clone());
    assert_eq!(keys(&view, after).await, mine[1..]);
    assert!(inner.contains(&key("a/b/b", "one")).await.unwrap());
    assert_eq!(view.usage(&Namespace::root()).await.unwrap().entries, 2);
    assert_eq!(view.meta(&mine[1]).await.unwrap().unwrap().key, mine[1]);

    let all = CleanPolicy::default().with_max_bytes(0);
    assert_eq!(view.clean(&Namespace::root(), &all).await.unwrap().evicted_entries, 2);
    assert_eq!(inner.usage(&Namespace::root()).await.unwrap().entries, 5);
}

#[tokio::test]
async fn errors_name_the_key_as_the_view_does() {
    let view = Scoped::new(Arc::new(store()), "a".parse().unwrap());
    let error = view.put(&key("x", "one"), PutEntry::default(), PutOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Invalid, Some(&key("x", "one"))));
}

#[tokio::test(start_paused = true)]
async fn streams_fail_with_the_key_as_the_view_has_it() {
    let hanging = Hanging::new(store());
    let inner = Deadline::new(hanging.clone(), Duration::from_secs(1));
    let view = Scoped::new(Arc::new(inner), "a".parse().unwrap());
    let key = key("x", "one");
    view.put_bytes(&key, vec![7; 20_000].into()).await.unwrap();
    let options = GetOptions::default().with_stream_above(0);
    let blob = view.get(&key, &BlobName::DATA, options.clone()).await.unwrap().unwrap();
    let (_, in_entry) = view.get_entry(&key, options).await.unwrap().unwrap().blobs.remove(0);
    hanging.hang();
    for blob in [blob, in_entry] {
        let failed = blob.into_stream().try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!((failed.kind(), failed.key()), (ErrorKind::Timeout, Some(&key)));
    }
}

#[tokio::test]
async fn no_budget_is_declared() {
    let inner = store();
    assert!(inner.info().powers.bounded && inner.info().max_bytes.is_some());
    let info = Scoped::new(Arc::new(inner), "a".parse().unwrap()).info();
    assert!(!info.powers.bounded && info.max_bytes.is_none());
    assert!(info.powers.recency && info.powers.durable);
}

#[tokio::test]
async fn namespace_without_room_below_the_view_is_invalid() {
    let view = Scoped::new(Arc::new(store()), "abc".parse().unwrap());
    let long: Namespace = ["x"; 170].join("/").parse().unwrap();
    let key = Key::new(long.clone(), Digest::of("one"));
    let kinds = [
        view.contains(&key).await.unwrap_err().kind(),
        view.evict(&key).await.unwrap_err().kind(),
        view.put_bytes(&key, "mine".into()).await.unwrap_err().kind(),
        view.list(ListOptions::of(&long)).try_next().await.unwrap_err().kind(),
        view.usage(&long).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Invalid; 5]);
    assert!(view.get_now(key.view(), &BlobName::DATA).is_none());
}

#[test]
fn no_tier_shows_a_budget() {
    let mut powers = Powers::default();
    powers.bounded = true;
    let tier = StoreInfo::new("fast", "", powers).with_max_bytes(Some(1)).with_max_entries(Some(1));
    let mut info = StoreInfo::new("both", "", powers).with_tiers(vec![("fast".into(), tier)]);
    withdraw_budgets(&mut info);
    let tier = &info.tiers[0].1;
    assert_eq!((tier.max_bytes, tier.max_entries, tier.powers.bounded), (None, None, false));
}
