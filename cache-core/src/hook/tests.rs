use std::{sync::Mutex, time::Duration};

use futures::{FutureExt, StreamExt, TryStreamExt, future, stream};
use tokio::time::timeout;

use super::{recorder::Recorder, *};
use crate::{Digest, Error, ErrorKind, Key, ListOptions, Namespace};

fn key(name: &str) -> Key {
    Key::from(Digest::of(name))
}

fn one(hook: impl OperationHook) -> Hooks {
    Arc::new([Arc::new(hook)])
}

async fn fine() -> Result<()> {
    Ok(())
}

#[tokio::test]
async fn two_hooks_nest_in_order_and_leave_in_reverse() {
    let outer = Recorder { name: "outer ", ..Recorder::default() };
    let inner = outer.named("inner ");
    let hooks: Hooks = Arc::new([Arc::new(outer.clone()), Arc::new(inner)]);
    let work = async {
        outer.note("work".to_owned());
        Ok(())
    };
    within(&hooks, || Operation::read("get", &key("a")), work).await.unwrap();
    assert_eq!(outer.take_log(), ["+outer get", "+inner get", "work", "-inner get", "-outer get"]);
    let now = try_within(&hooks, || Operation::read("get_now", &key("a")), || Some(5));
    assert_eq!(now, Some(5));
    assert_eq!(outer.take_log(), ["+outer get_now", "+inner get_now", "-inner get_now", "-outer get_now"]);
}

#[tokio::test]
async fn an_inner_hook_that_refuses_lets_the_outer_one_go_and_no_work_begins() {
    let outer = Recorder::default();
    let refusing = Recorder::refusing(ErrorKind::Denied);
    let hooks: Hooks = Arc::new([Arc::new(outer.clone()), Arc::new(refusing)]);
    let work = async { panic!("begun although it was refused") };
    let refused: Result<()> = within(&hooks, || Operation::write("put", &key("a")), work).await;
    let error = refused.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, "put"));
    assert_eq!(error.key(), Some(&key("a")));
    assert_eq!(outer.take_log(), ["+put", "-put"]);
    let now = || -> Option<()> { panic!("begun although it was refused") };
    assert_eq!(try_within(&hooks, || Operation::read("get_now", &key("a")), now), None);
    assert_eq!(outer.take_log(), ["+get_now", "-get_now"]);
}

#[derive(Debug)]
struct Explicit;

#[async_trait]
impl OperationHook for Explicit {
    async fn enter(&self, _operation: &Operation) -> Result<Guard> {
        Err(Error::new(ErrorKind::Unavailable, "session", "connect").with_key(&key("other")))
    }

    fn try_enter(&self, _operation: &Operation) -> Option<Guard> {
        None
    }
}

#[tokio::test]
async fn a_refusal_that_says_more_keeps_what_it_says() {
    let refused = within(&one(Explicit), || Operation::read("get", &key("a")), fine()).await;
    let error = refused.unwrap_err();
    assert_eq!((error.store(), error.operation()), ("session", "connect"));
    assert_eq!(error.key(), Some(&key("other")));
}

#[tokio::test]
async fn a_guard_is_left_on_success_error_drop_and_panic() {
    let recorder = Recorder::default();
    let hooks = one(recorder.clone());
    let read = || Operation::read("get", &key("a"));
    within(&hooks, read, fine()).await.unwrap();
    assert_eq!(recorder.take_log(), ["+get", "-get"]);
    within(&hooks, read, async { Err::<(), _>(Error::invalid("no")) }).await.unwrap_err();
    assert_eq!(recorder.take_log(), ["+get", "-get"]);
    let mut hanging = Box::pin(within(&hooks, read, future::pending::<Result<()>>()));
    assert!(hanging.as_mut().now_or_never().is_none());
    assert_eq!(recorder.take_log(), ["+get"]);
    drop(hanging);
    assert_eq!(recorder.take_log(), ["-get"]);
    let panics = async { if true { panic!("on demand") } else { fine().await } };
    let panicked = std::panic::AssertUnwindSafe(within(&hooks, read, panics)).catch_unwind().await;
    assert!(panicked.is_err());
    assert_eq!(recorder.take_log(), ["+get", "-get"]);
}

#[tokio::test]
async fn work_is_dropped_before_the_guards_are() {
    let recorder = Recorder::default();
    struct Note(Recorder);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.note("work gone".to_owned());
        }
    }
    let note = Note(recorder.clone());
    let hooks = one(recorder.clone());
    let work = async move {
        let _note = note;
        future::pending::<Result<()>>().await
    };
    let mut hanging = Box::pin(within(&hooks, || Operation::read("get", &key("a")), work));
    assert!(hanging.as_mut().now_or_never().is_none());
    drop(hanging);
    assert_eq!(recorder.take_log(), ["+get", "work gone", "-get"]);
}

#[tokio::test]
async fn without_hooks_there_is_no_operation() {
    let none: Hooks = Arc::new([]);
    let unasked = || -> Operation { panic!("asked for, although nobody wants it") };
    within(&none, unasked, fine()).await.unwrap();
    assert_eq!(try_within(&none, unasked, || Some(1)), Some(1));
    let listing = stream::iter([Ok(1)]).boxed();
    let listed: Vec<i32> = pulled(none, unasked, listing).try_collect().await.unwrap();
    assert_eq!(listed, [1]);
}

/// Notes the chain of each operation.
#[derive(Clone, Debug, Default)]
struct Chains(Arc<Mutex<Vec<u64>>>);

#[async_trait]
impl OperationHook for Chains {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        self.0.lock().unwrap().push(operation.chain_id());
        Ok(Guard::none())
    }

    fn try_enter(&self, operation: &Operation) -> Option<Guard> {
        self.0.lock().unwrap().push(operation.chain_id());
        Some(Guard::none())
    }
}

#[tokio::test]
async fn nested_operations_share_a_chain_and_others_do_not() {
    let chains = Chains::default();
    let hooks = one(chains.clone());
    let read = || Operation::read("get", &key("a"));
    let nested = async {
        within(&hooks, read, fine()).await?;
        let carried = crate::carried(within(&hooks, read, fine()));
        std::thread::scope(|scope| scope.spawn(|| futures::executor::block_on(carried)).join().unwrap())?;
        assert_eq!(try_within(&hooks, read, || Some(())), Some(()));
        Ok(())
    };
    within(&hooks, read, nested).await.unwrap();
    within(&hooks, read, fine()).await.unwrap();
    let seen = chains.0.lock().unwrap().clone();
    assert_eq!(seen.len(), 5);
    assert!(seen[..4].iter().all(|chain| *chain == seen[0]), "{seen:?}");
    assert_ne!(seen[4], seen[0]);
}

fn listing(hooks: &Hooks, entries: Vec<Result<u32>>) -> stream::BoxStream<'static, Result<u32>> {
    let operation = || Operation::new("list", Target::Scope(Namespace::root()), Intent::Read);
    pulled(Arc::clone(hooks), operation, stream::iter(entries).boxed())
}

#[tokio::test]
async fn a_listing_is_guarded_pull_by_pull_and_not_between() {
    let recorder = Recorder::default();
    let hooks = one(recorder.clone());
    let mut entries = listing(&hooks, (0..300).map(Ok).collect());
    assert!(recorder.take_log().is_empty(), "nothing is entered before the first pull");
    let mut seen = Vec::new();
    while let Some(entry) = entries.try_next().await.unwrap() {
        seen.push(entry);
        let log = recorder.take_log();
        match entry {
            0 | 128 | 256 => assert_eq!(log, ["+list", "-list"], "{entry}"),
            _ => assert!(log.is_empty(), "{entry}: {log:?}"),
        }
    }
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
    assert!(recorder.take_log().is_empty(), "the end was seen with the last entries");
}

#[tokio::test]
async fn a_listing_hands_out_what_was_listed_before_its_error_and_ends() {
    let recorder = Recorder::default();
    let hooks = one(recorder.clone());
    let mut entries = listing(&hooks, vec![Ok(1), Err(Error::corrupt("on demand")), Ok(2)]);
    assert_eq!(entries.next().await.unwrap().unwrap(), 1);
    assert_eq!(entries.next().await.unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(entries.next().await.is_none());
    assert_eq!(recorder.take_log(), ["+list", "-list", "+list", "-list"]);
}

#[tokio::test]
async fn a_listing_that_is_refused_ends_in_the_refusal() {
    let mut entries = listing(&one(Recorder::refusing(ErrorKind::Denied)), vec![Ok(1)]);
    let error = entries.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Denied, "list"));
    assert!(entries.next().await.is_none());
}

#[tokio::test]
async fn a_listing_waits_for_no_more_than_is_ready() {
    let recorder = Recorder::default();
    let hooks = one(recorder.clone());
    let slow = stream::iter([Ok(1), Ok(2)]).chain(stream::pending::<Result<u32>>()).boxed();
    let operation = || Operation::new("list", Target::Store, Intent::Read);
    let mut entries = pulled(hooks, operation, slow);
    assert_eq!(entries.next().await.unwrap().unwrap(), 1);
    assert_eq!(entries.next().await.unwrap().unwrap(), 2);
    assert_eq!(recorder.take_log(), ["+list", "-list"]);
    assert!(entries.next().now_or_never().is_none());
    drop(entries);
    assert_eq!(recorder.take_log(), ["+list", "-list"], "a pull that is dropped midway is left");
}

#[test]
fn a_listing_is_about_a_prefix_or_a_scope() {
    #[track_caller]
    fn check(options: &ListOptions, expected: &Target) {
        assert_eq!(Target::of_listing(options), *expected);
    }
    let namespace = Namespace::root().child("n").unwrap();
    let prefix = Digest::of("a").prefix(5);
    let scope = Target::Scope(namespace.clone());
    check(&ListOptions::of(&namespace), &scope);
    check(&ListOptions::below(&namespace), &scope);
    check(&ListOptions::of(&namespace).with_prefix(prefix), &Target::Prefix(namespace.clone(), prefix));
    check(&ListOptions::below(&namespace).with_prefix(prefix), &scope);
}

fn shipped() -> Vec<Arc<dyn OperationHook>> {
    vec![
        Arc::new(Serialized::default()),
        Arc::new(PerKeyLock::default()),
        Arc::new(Traced::default()),
        Arc::new(Limited::new(1).unwrap()),
    ]
}

#[tokio::test]
async fn the_same_key_is_entered_again_inside_of_its_operation_with_each_shipped_hook() {
    let compositions = shipped().into_iter().map(|hook| vec![hook]).chain([shipped()]);
    for hooks in compositions {
        let again = |intent| {
            let hooks = hooks.clone();
            async move {
                let operation = || Operation::new("get", Target::Key(key("a")), intent);
                within(&hooks, operation, fine()).await?;
                let now = || Operation::new("get_now", Target::Key(key("a")), Intent::Read);
                assert_eq!(try_within(&hooks, now, || Some(1)), Some(1), "{hooks:?}");
                Ok(())
            }
        };
        for (first, then) in [
            (Intent::Read, Intent::Read),
            (Intent::Read, Intent::Write),
            (Intent::Write, Intent::Read),
            (Intent::Write, Intent::Write),
        ] {
            for target in [Target::Key(key("a")), Target::Scope(Namespace::root()), Target::Store] {
                let operation = || Operation::new("compound", target, first);
                let entered = within(&hooks, operation, again(then)).now_or_never();
                entered.unwrap_or_else(|| panic!("{hooks:?} waits for itself")).unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn operations_side_by_side_in_one_share_what_it_holds_with_each_shipped_hook() {
    for hook in shipped() {
        let hooks: Hooks = Arc::new([hook]);
        let both = async {
            // Each ends only when the other has begun.
            let meet = tokio::sync::Barrier::new(2);
            let part = || {
                within(&hooks, || Operation::write("put", &key("a")), async {
                    meet.wait().await;
                    Ok(())
                })
            };
            future::try_join(part(), part()).await?;
            Ok(())
        };
        let compound = within(&hooks, || Operation::write("compound", &key("a")), both);
        let entered = timeout(Duration::from_secs(60), compound).await;
        entered.unwrap_or_else(|_| panic!("{hooks:?} waits for itself")).unwrap();
    }
}
