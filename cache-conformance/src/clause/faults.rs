//! What lies below fails, and works again.

use std::collections::BTreeSet;

use cache_core::{
    BlobName, CleanPolicy, Error, ErrorKind, GetOptions, ListOptions, Metrics, Namespace, PutEntry, PutMode,
    PutOptions,
};
use futures::StreamExt;

use crate::{
    Factory, Failures,
    sample::{self, Contents, blobs, bytes, data, key, key_in, namespace, stream_of},
    subject::Subject,
};

/// More operations below than one of any store asks for.
const MOST: u64 = 200;

fn below(factory: &dyn Factory) -> &dyn Failures {
    factory.failures().expect("a handle that makes what lies below fail")
}

/// Runs an operation of the store during which the `nth` operation below fails, if there are so many.
/// Whether there were.
async fn failing<T>(below: &dyn Failures, nth: u64, operation: impl Future<Output = T>) -> (T, bool) {
    let before = below.operations();
    below.fail(nth);
    let answer = operation.await;
    let failed = below.operations() - before >= nth;
    below.fail(0);
    (answer, failed)
}

/// An error says that something below has failed, not that the caller did something wrong.
fn assert_blames_what_is_below(error: &Error) {
    let wrong = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::Ambiguous
            | ErrorKind::Invalid
            | ErrorKind::TooLarge
            | ErrorKind::Corrupt
            | ErrorKind::Unsupported
            | ErrorKind::Closed
            | ErrorKind::Codec
    );
    assert!(!wrong, "a failure below is told as {:?}: {error}", error.kind());
}

fn old() -> Contents {
    blobs([("a", bytes(1, 3000)), ("data", bytes(2, 70_000))])
}

/// A put that fails leaves the old entry or the new one, and the next one succeeds.
pub async fn failed_put_leaves_old_or_new(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let new = blobs([("b", bytes(3, 500)), ("data", bytes(4, 90_000))]);
    let merged = blobs([("a", bytes(1, 3000)), ("b", bytes(3, 500)), ("data", bytes(4, 90_000))]);
    let filled = blobs([("a", bytes(1, 3000)), ("b", bytes(3, 500)), ("data", bytes(2, 70_000))]);
    let in_hand: fn(&Contents) -> PutEntry = sample::entry;
    let streamed: fn(&Contents) -> PutEntry = |contents| {
        let entry = PutEntry::default().with_stream(BlobName::DATA, None, stream_of(&contents["data"]));
        entry.with(sample::name("b"), contents["b"].clone())
    };
    let cases = [
        ("replaced", PutMode::Replace, in_hand, &new),
        ("merged", PutMode::Merge, in_hand, &merged),
        ("filled", PutMode::Fill, in_hand, &filled),
        ("streamed", PutMode::Replace, streamed, &new),
    ];
    for (case, mode, entry, after) in cases {
        for (there, old) in [(true, old()), (false, Contents::new())] {
            let after = if there { after } else { &new };
            for nth in 1..=MOST {
                let key = key_in(&namespace(&format!("{case}/{there}")), nth);
                if there {
                    store.put_new(&key, &old).await;
                }
                let put = store.put(&key, entry(&new), PutOptions::mode(mode));
                let (answer, failed) = failing(below(factory), nth, put).await;
                let found = store.contents(&key).await.unwrap_or_default();
                match answer {
                    Ok(outcome) => {
                        assert!(outcome.is_stored(), "{case}: {outcome:?}");
                        assert!(found == *after, "{case}: a put that was stored is not there at {nth}");
                    }
                    Err(error) => {
                        assert_blames_what_is_below(&error);
                        assert!(found == old || found == *after, "{case}: a failed put left a part");
                    }
                }
                let outcome =
                    store.put(&key, entry(&new), PutOptions::mode(mode)).await.expect("the next put");
                assert!(outcome.is_stored(), "{case}: {outcome:?}");
                store.assert_holds(&key, after).await;
                if !failed {
                    assert!(nth > 1, "{case}: a put asked nothing of what lies below");
                    break;
                }
                assert!(nth < MOST, "{case}: too many operations below");
            }
        }
    }
    let root = Namespace::root();
    let listed = store.keys(ListOptions::below(&root)).await;
    assert_eq!(store.usage_below(&root).await.entries, listed.len() as u64, "failed puts count");
}

/// A read that fails is an error and never a miss, and the next one is a hit.
pub async fn failed_read_is_no_miss(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let old = old();
    let streamed = GetOptions::default().with_stream_above(0);
    for nth in 1..=MOST {
        let (here, absent) = (key(nth), key_in(&namespace("absent"), nth));
        store.put_new(&here, &old).await;
        let mut any = false;
        for options in [GetOptions::default(), streamed.clone()] {
            let read = async {
                let found = store.get(&here, &BlobName::DATA, options.clone()).await?;
                found.expect("a failure is told as a miss").collect(1 << 20).await
            };
            let (answer, failed) = failing(below(factory), nth, read).await;
            any |= failed;
            match answer {
                Ok(found) => assert!(found == old["data"], "other bytes"),
                Err(error) => assert_blames_what_is_below(&error),
            }
            let read = store.get_entry(&here, options.clone());
            let (answer, failed) = failing(below(factory), nth, read).await;
            any |= failed;
            match answer {
                Ok(found) => assert_eq!(found.expect("a failure is told as a miss").blobs.len(), old.len()),
                Err(error) => assert_blames_what_is_below(&error),
            }
        }
        let (answer, failed) = failing(below(factory), nth, store.contains(&here)).await;
        any |= failed;
        answer.map_or_else(|error| assert_blames_what_is_below(&error), |there| assert!(there, "a miss"));
        let (answer, failed) = failing(below(factory), nth, store.meta(&here)).await;
        any |= failed;
        match answer {
            Ok(meta) => assert_eq!(meta.expect("a failure is told as a miss").blobs.len(), old.len()),
            Err(error) => assert_blames_what_is_below(&error),
        }
        let read = store.get(&absent, &BlobName::DATA, GetOptions::default());
        match failing(below(factory), nth, read).await.0 {
            Ok(found) => assert!(found.is_none(), "a hit that nobody put"),
            Err(error) => assert_blames_what_is_below(&error),
        }
        store.assert_holds(&here, &old).await;
        store.assert_absent(&absent).await;
        if !any {
            return;
        }
    }
    panic!("too many operations below");
}

/// An eviction that fails leaves the whole entry or none of it, and the next one succeeds.
pub async fn failed_evict_leaves_all_or_nothing(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    for nth in 1..=MOST {
        let key = key(nth);
        store.put_new(&key, &old()).await;
        let (answer, failed) = failing(below(factory), nth, store.evict(&key)).await;
        match answer {
            Ok(()) => store.assert_absent(&key).await,
            Err(error) => {
                assert_blames_what_is_below(&error);
                let found = store.contents(&key).await;
                assert!(found.is_none_or(|found| found == old()), "half an entry is left");
            }
        }
        store.evict(&key).await.expect("the next eviction");
        store.assert_absent(&key).await;
        if !failed {
            assert!(nth > 1, "an eviction asked nothing of what lies below");
            return;
        }
    }
    panic!("too many operations below");
}

/// A listing that fails ends in the error, and nothing is missing before it.
pub async fn failed_listing_ends_in_the_error(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let mut keys = Vec::new();
    for (number, path) in (0..40).zip(["", "a", "a/b"].into_iter().cycle()) {
        let key = key_in(&namespace(path), number);
        store.put_new(&key, &data(bytes(number, 10))).await;
        keys.push(key);
    }
    keys.sort();
    for nth in 1..=MOST {
        let whole = async { store.list(ListOptions::default().recursive()).collect::<Vec<_>>().await };
        let (listed, failed) = failing(below(factory), nth, whole).await;
        let errors: Vec<_> = listed.iter().filter_map(|entry| entry.as_ref().err()).collect();
        errors.iter().for_each(|error| assert_blames_what_is_below(error));
        let found: Vec<_> =
            listed.iter().filter_map(|entry| Some(entry.as_ref().ok()?.key.clone())).collect();
        assert!(errors.len() <= 1, "several errors in one listing");
        assert!(errors.is_empty() || listed.last().is_some_and(Result::is_err), "it goes on after its error");
        assert!(keys.starts_with(&found), "entries are missing before the error");
        assert!(!errors.is_empty() || found == keys, "a failure is told as the end");
        let (usage, _) = failing(below(factory), nth, store.usage(&Namespace::root())).await;
        match usage {
            Ok(usage) => assert_eq!(usage.entries, 40, "a failure is told as fewer entries"),
            Err(error) => assert_blames_what_is_below(&error),
        }
        if !failed {
            assert!(nth > 1, "a listing asked nothing of what lies below");
            assert_eq!(store.keys(ListOptions::default().recursive()).await, keys);
            store.assert_usage(&Namespace::root(), 40, 400).await;
            return;
        }
    }
    panic!("too many operations below");
}

/// A clean that fails leaves whole entries, and the next one does the rest.
pub async fn failed_clean_leaves_whole_entries(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let scope = namespace("a");
    for nth in 1..=MOST {
        for number in 0..4 {
            store.put_new(&key_in(&scope, number), &old()).await;
        }
        store.put_new(&key(nth), &data("outside")).await;
        let policy = CleanPolicy::default().with_max_bytes(0);
        let (answer, failed) = failing(below(factory), nth, store.clean(&scope, &policy)).await;
        if let Err(error) = &answer {
            assert_blames_what_is_below(error);
        }
        let mut left = 0;
        for number in 0..4 {
            if let Some(found) = store.contents(&key_in(&scope, number)).await {
                assert!(found == old(), "half an entry is left");
                left += 1;
            }
        }
        if let Ok(report) = &answer {
            assert_eq!((report.evicted_entries, left), (4, 0), "a failure is told as success");
        }
        let report = store.clean(&scope, &policy).await.expect("the next clean");
        assert_eq!((report.evicted_entries, report.kept_entries), (left, 0));
        store.assert_usage(&scope, 0, 0).await;
        store.assert_holds(&key(nth), &data("outside")).await;
        if !failed {
            return;
        }
    }
    panic!("too many operations below");
}

/// A flush that fails says so, and the next one covers the same entries.
pub async fn failed_flush_is_told_and_covered_by_the_next(factory: &dyn Factory) {
    let mut store = Subject::open(factory).await;
    let durable = store.info().powers.durable;
    let mut written = BTreeSet::new();
    for nth in 1..=MOST {
        store.put_new(&key(nth), &old()).await;
        let (answer, failed) = failing(below(factory), nth, store.flush()).await;
        match answer {
            Ok(report) => assert_eq!(report.durable, durable, "{report:?}"),
            Err(error) => assert_blames_what_is_below(&error),
        }
        written.insert(nth);
        let report = store.flush().await.expect("the next flush");
        assert_eq!(report.durable, durable, "{report:?}");
        if durable {
            store.close(None).await.expect("a close");
            drop(store);
            if let Some(crash) = factory.crash() {
                crash.crash().await.expect("a crash");
            }
            store = Subject::open(factory).await;
        }
        for number in &written {
            store.assert_holds(&key(*number), &old()).await;
        }
        if !failed {
            return;
        }
    }
    panic!("too many operations below");
}

/// A failure that reaches the caller is counted as one, and not as a hit, a miss or a put.
pub async fn failures_are_counted_apart(factory: &dyn Factory) {
    let store = Subject::open(factory).await;
    let key = key(1);
    store.put_new(&key, &data("value")).await;
    // What was tried again below, and then succeeded, may be counted as an error as well.
    let counts = |now: Metrics| (now.hits, now.misses, now.contains_hits, now.contains_misses, now.puts);
    for nth in 1..=MOST {
        let mut any = false;
        let before = store.metrics();
        let read = store.get(&key, &BlobName::DATA, GetOptions::default());
        let (answer, failed) = failing(below(factory), nth, read).await;
        any |= failed;
        let counted = store.metrics().since(&before);
        let errors = u64::from(answer.is_err());
        assert!(counted.errors >= errors, "a read that gave {answer:?}: {counted:?}");
        assert_eq!(counts(counted), (1 - errors, 0, 0, 0, 0), "a read that gave {answer:?}");

        let before = store.metrics();
        let (answer, failed) = failing(below(factory), nth, store.contains(&key)).await;
        any |= failed;
        let counted = store.metrics().since(&before);
        let errors = u64::from(answer.is_err());
        assert!(counted.errors >= errors, "a question that gave {answer:?}: {counted:?}");
        assert_eq!(counts(counted), (0, 0, 1 - errors, 0, 0), "a question that gave {answer:?}");

        let before = store.metrics();
        let put = store.put(&key, PutEntry::data("value"), PutOptions::default());
        let (answer, failed) = failing(below(factory), nth, put).await;
        any |= failed;
        let counted = store.metrics().since(&before);
        let errors = u64::from(answer.is_err());
        assert!(counted.put_errors >= errors, "a put that gave {answer:?}: {counted:?}");
        assert_eq!(counts(counted), (0, 0, 0, 0, 1 - errors), "a put that gave {answer:?}");
        if !any {
            return;
        }
    }
    panic!("too many operations below");
}
