use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture};

use super::*;
use crate::{
    Digest, ErrorKind, Limited, PerKeyLock, Serialized, StoreExt, Traced,
    hook::recorder::Recorder,
    toy::{Fault, Toy},
};

type Call = fn(&Hooked<Toy>) -> BoxFuture<'_, Result<()>>;

fn key() -> Key {
    Key::from(Digest::of("k"))
}

fn scope() -> Namespace {
    Namespace::root().child("n").unwrap()
}

/// Every operation that a store has but `get_now`.
fn operations() -> Vec<(&'static str, Target, Intent, Call)> {
    let of_key = || Target::Key(key());
    let of_scope = || Target::Scope(scope());
    vec![
        ("contains", of_key(), Intent::Read, |store| {
            async { store.contains(&key()).await.map(|_| ()) }.boxed()
        }),
        ("evict", of_key(), Intent::Write, |store| async { store.evict(&key()).await }.boxed()),
        ("list", of_scope(), Intent::Read, |store| {
            store.list(ListOptions::of(&scope())).try_for_each(|_| async { Ok(()) }).boxed()
        }),
        ("list", Target::Prefix(scope(), key().digest.prefix(6)), Intent::Read, |store| {
            let options = ListOptions::of(&scope()).with_prefix(key().digest.prefix(6));
            store.list(options).try_for_each(|_| async { Ok(()) }).boxed()
        }),
        ("get", of_key(), Intent::Read, |store| {
            async { store.get(&key(), &BlobName::DATA, GetOptions::default()).await.map(|_| ()) }.boxed()
        }),
        ("get_entry", of_key(), Intent::Read, |store| {
            async { store.get_entry(&key(), GetOptions::default()).await.map(|_| ()) }.boxed()
        }),
        ("put", of_key(), Intent::Write, |store| {
            async { store.put_bytes(&key(), "v".into()).await.map(|_| ()) }.boxed()
        }),
        ("meta", of_key(), Intent::Read, |store| async { store.meta(&key()).await.map(|_| ()) }.boxed()),
        ("usage", of_scope(), Intent::Read, |store| {
            async { store.usage(&scope()).await.map(|_| ()) }.boxed()
        }),
        ("verify", of_scope(), Intent::Read, |store| {
            async { store.verify(&scope(), &VerifyOptions::default()).await.map(|_| ()) }.boxed()
        }),
        ("clean", of_scope(), Intent::Write, |store| {
            async { store.clean(&scope(), &CleanPolicy::default()).await.map(|_| ()) }.boxed()
        }),
        ("flush", Target::Store, Intent::Read, |store| async { store.flush().await.map(|_| ()) }.boxed()),
        ("close", Target::Store, Intent::Write, |store| {
            async { store.close(None).await.map(|_| ()) }.boxed()
        }),
    ]
}

#[tokio::test]
async fn every_operation_enters_once_and_leaves_when_it_returns() {
    let recorder = Recorder::default();
    let store = Hooked::new(Toy::default(), Arc::new(recorder.clone()));
    for (name, target, intent, call) in operations() {
        call(&store).await.unwrap();
        assert_eq!(recorder.take_seen(), [(name, target, intent)]);
        assert_eq!(recorder.take_log(), [format!("+{name}"), format!("-{name}")]);
    }
    assert_eq!(store.get_now(key().view(), &BlobName::DATA), None);
    assert_eq!(recorder.take_seen(), [("get_now", Target::Key(key()), Intent::Read)]);
    assert_eq!(recorder.take_log(), ["+get_now", "-get_now"]);
    assert_eq!((store.info(), store.metrics()), (Toy::default().info(), Metrics::default()));
    assert!(recorder.take_seen().is_empty());
}

#[tokio::test]
async fn every_operation_leaves_when_it_fails() {
    let recorder = Recorder::default();
    let store = Hooked::new(Toy::default().with_fault(Fault::Corrupt), Arc::new(recorder.clone()));
    for (name, target, _, call) in operations() {
        let answer = call(&store).await;
        assert_eq!(answer.is_err(), target.key().is_some(), "{name}");
        assert_eq!(recorder.take_log(), [format!("+{name}"), format!("-{name}")]);
    }
}

#[tokio::test]
async fn every_operation_leaves_when_it_is_dropped() {
    let recorder = Recorder::default();
    let store = Hooked::new(Toy::default().with_fault(Fault::Hang), Arc::new(recorder.clone()));
    for (name, _, _, call) in operations() {
        if ["clean", "flush", "close"].contains(&name) {
            continue;
        }
        let mut hanging = call(&store);
        assert!(hanging.as_mut().now_or_never().is_none());
        assert_eq!(recorder.take_log(), [format!("+{name}")]);
        drop(hanging);
        assert_eq!(recorder.take_log(), [format!("-{name}")]);
    }
}

#[tokio::test]
async fn a_hook_that_refuses_keeps_every_operation_from_the_store() {
    let toy = Toy::holding([key().digest]);
    let store = Hooked::new(toy.clone(), Arc::new(Recorder::refusing(ErrorKind::Denied)));
    for (name, target, _, call) in operations() {
        let error = call(&store).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, name));
        assert_eq!(error.key(), target.key());
    }
    assert_eq!(store.get_now(key().view(), &BlobName::DATA), None);
    assert_eq!(toy.asked().1, 0, "nothing was listed");
    assert_eq!(toy.get_bytes(&key(), &BlobName::DATA).await.unwrap().unwrap(), "v", "nothing was evicted");
}

#[tokio::test]
async fn a_hook_on_two_layers_lets_each_operation_through() {
    let hooks: Vec<Arc<dyn OperationHook>> = vec![
        Arc::new(Serialized::default()),
        Arc::new(PerKeyLock::default()),
        Arc::new(Traced::default()),
        Arc::new(Limited::new(1).unwrap()),
    ];
    for hook in hooks {
        let inner: Arc<dyn Store> = Arc::new(Hooked::new(Toy::default(), Arc::clone(&hook)));
        let store = Hooked::new(inner, Arc::clone(&hook));
        let all = async {
            store.put_bytes(&key(), "v".into()).await?;
            store.contains(&key()).await?;
            store.get_entry(&key(), GetOptions::default()).await?;
            store.meta(&key()).await?;
            assert_eq!(store.list(ListOptions::default()).count().await, 1);
            store.usage(&Namespace::root()).await?;
            store.clean(&Namespace::root(), &CleanPolicy::default()).await?;
            store.flush().await?;
            store.evict(&key()).await?;
            store.close(None).await
        };
        all.now_or_never().unwrap_or_else(|| panic!("{hook:?} waits for itself")).unwrap();
    }
}

#[tokio::test]
async fn an_added_hook_is_entered_inside_of_the_first() {
    let first = Recorder { name: "first ", ..Recorder::default() };
    let store = Hooked::new(Toy::default(), Arc::new(first.clone()));
    let store = store.with_hook(Arc::new(first.named("second ")));
    store.flush().await.unwrap();
    assert_eq!(first.take_log(), ["+first flush", "+second flush", "-second flush", "-first flush"]);
}

#[tokio::test]
async fn an_entry_that_is_listed_can_be_evicted_before_the_next() {
    let digests: Vec<Digest> = (0..300_u32).map(|n| Digest::of(n.to_string())).collect();
    for hook in [Arc::new(Serialized::default()) as Arc<dyn OperationHook>, Arc::new(PerKeyLock::default())] {
        let store = Hooked::new(Toy::holding(digests.clone()), hook);
        let evict_all = async {
            let mut entries = store.list(ListOptions::default());
            while let Some(entry) = entries.try_next().await? {
                store.evict(&entry.key).await?;
            }
            store.usage(&Namespace::root()).await
        };
        assert_eq!(evict_all.now_or_never().expect("waits for itself").unwrap().entries, 0);
    }
}

#[tokio::test]
async fn a_listing_keeps_its_limit_and_its_error() {
    let mut digests: Vec<Digest> = (0..300_u32).map(|n| Digest::of(n.to_string())).collect();
    digests.sort();
    let mut toy = Toy::holding(digests.clone());
    toy.unreadable = Some(digests[200]);
    let recorder = Recorder::default();
    let store = Hooked::new(toy.clone(), Arc::new(recorder.clone()));
    for limit in [0, 1, 128, 129] {
        toy.asked();
        recorder.take_log();
        let listed: Vec<_> =
            store.list(ListOptions::default().with_limit(limit)).try_collect().await.unwrap();
        assert_eq!((listed.len(), toy.asked().1), (limit, limit));
        let pulls = recorder.take_log().len() / 2;
        assert!((1..=2).contains(&pulls), "{limit}: {pulls} pulls");
    }
    let listed: Vec<_> = store.list(ListOptions::default()).collect().await;
    let (error, entries) = listed.split_last().unwrap();
    assert_eq!(entries.len(), 200);
    assert!(entries.iter().all(Result::is_ok));
    assert_eq!(error.as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
}
