//! Copies between stores, one of which fails now and then.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cache_conformance::fault::{Call, Corrupting, Defect, Flaky, Full, Hanging, Tear, Torn, When};
use cache_core::{
    BlobName, Cache, CopyOptions, Digest, ErrorKind, GetOptions, Key, KeyManagement, ListOptions, Namespace,
    Overwrite, PutEntry, PutOptions, Store, StoreExt,
};
use cache_memory::{MemoryOptions, MemoryStore};
use futures::{StreamExt, TryStreamExt, stream};

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::open(MemoryOptions::unlimited()).unwrap())
}

fn root() -> Namespace {
    Namespace::root()
}

fn log() -> BlobName {
    BlobName::new("log").unwrap()
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Ascending.
fn keys(count: u64) -> Vec<Key> {
    let mut keys: Vec<_> = (0..count).map(|n| Key::from(Digest::of(n.to_be_bytes()))).collect();
    keys.sort_unstable();
    keys
}

/// What the n-th entry holds: two blobs, of which one is longer than what is copied in hand if `n` is 0.
fn content(n: usize) -> [(BlobName, Bytes); 2] {
    let long = if n == 0 { 3 << 20 } else { 100 };
    let byte = u8::try_from(n % 250).unwrap();
    [(BlobName::DATA, Bytes::from(vec![byte; long])), (log(), Bytes::from(format!("log of {n}")))]
}

async fn put(
    store: &impl Store,
    key: &Key,
    created: u64,
    blobs: impl IntoIterator<Item = (BlobName, Bytes)>,
) {
    let entry = blobs.into_iter().fold(PutEntry::default(), |entry, (name, bytes)| entry.with(name, bytes));
    let options = PutOptions::default().with_created(time(created));
    assert!(store.put(key, entry, options).await.unwrap().is_stored());
}

/// A store of so many entries, each of its own age.
async fn filled(count: u64) -> Arc<MemoryStore> {
    let store = memory();
    for (n, key) in keys(count).iter().enumerate() {
        put(&store, key, 1000 + n as u64, content(n)).await;
    }
    store
}

type Held = Vec<(Key, Option<SystemTime>, Vec<(BlobName, Bytes)>)>;

/// All that a store holds.
async fn held(store: &impl Store) -> Held {
    let mut held = Vec::new();
    let mut listed = store.list(ListOptions::below(&root()));
    while let Some(entry) = listed.try_next().await.unwrap() {
        let options = GetOptions::default().quietly();
        let entry = store.get_entry(&entry.key, options).await.unwrap().unwrap();
        let mut blobs = Vec::new();
        for (name, blob) in entry.blobs {
            blobs.push((name, blob.collect(u64::MAX).await.unwrap()));
        }
        held.push((entry.meta.key, entry.meta.modified, blobs));
    }
    held
}

#[tokio::test]
async fn a_copy_has_every_blob_and_time_and_leaves_no_trace_at_the_source() {
    let (from, to) = (filled(20).await, memory());
    let before =
        (from.metrics(), from.list(ListOptions::below(&root())).try_collect::<Vec<_>>().await.unwrap());
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert!(report.is_complete() && !report.durable, "{report}");
    assert_eq!((report.entries, report.copied, report.skipped), (20, 20, 0));
    assert_eq!(report.bytes, from.usage(&root()).await.unwrap().bytes);
    assert_eq!(report.resume_after.as_ref(), keys(20).last());
    assert_eq!(held(&to).await, held(&from).await);
    let after =
        (from.metrics(), from.list(ListOptions::below(&root())).try_collect::<Vec<_>>().await.unwrap());
    assert_eq!((after.0.hits, after.0.bytes_out, &after.1), (before.0.hits, before.0.bytes_out, &before.1));
    assert_eq!(to.metrics().hits, 0, "it was read back as quietly");
}

#[tokio::test]
async fn what_is_there_in_the_same_version_is_skipped() {
    let (from, to) = (filled(20).await, memory());
    for verify in [true, false] {
        let options = CopyOptions::default().with_verify(verify);
        from.copy_to(&to, &root(), &options).await.unwrap();
        let puts = to.metrics().puts;
        let again = from.copy_to(&to, &root(), &options).await.unwrap();
        assert_eq!((again.entries, again.copied, again.skipped, again.bytes), (20, 0, 20, 0));
        assert!(again.is_complete() && to.metrics().puts == puts);
    }
}

#[tokio::test]
async fn bytes_that_differ_unseen_are_found_by_comparing_only() {
    let (from, to, key) = (memory(), memory(), Key::from(Digest::of("k")));
    put(&from, &key, 7, [(BlobName::DATA, "true".into())]).await;
    put(&to, &key, 7, [(BlobName::DATA, "fake".into())]).await;
    let blind = CopyOptions::default().with_verify(false);
    assert_eq!(from.copy_to(&to, &root(), &blind).await.unwrap().skipped, 1);
    assert_eq!(from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap().copied, 1);
    assert_eq!(held(&to).await, held(&from).await);
}

#[tokio::test]
async fn a_copy_stays_in_its_scope_and_may_go_to_another() {
    let from = memory();
    let digest = Digest::of("k");
    for namespace in ["a", "a/b", "aa", ""] {
        put(&from, &Key::new(namespace.parse().unwrap(), digest), 7, content(1)).await;
    }
    let scope: Namespace = "a".parse().unwrap();
    let spaces = async |to: &MemoryStore| -> Vec<String> {
        held(to).await.into_iter().map(|(key, ..)| key.namespace.to_string()).collect()
    };
    let to = memory();
    assert_eq!(from.copy_to(&to, &scope, &CopyOptions::default()).await.unwrap().copied, 2);
    assert_eq!(spaces(&to).await, ["a", "a/b"]);
    for (into, expected) in [("", ["", "b"]), ("x/y", ["x/y", "x/y/b"])] {
        let to = memory();
        let options = CopyOptions::default().with_into(into.parse().unwrap());
        assert_eq!(from.copy_to(&to, &scope, &options).await.unwrap().copied, 2);
        assert_eq!(spaces(&to).await, expected);
        assert_eq!(from.copy_to(&to, &scope, &options).await.unwrap().skipped, 2);
    }
    let to = memory();
    let handle = |store: &Arc<MemoryStore>, part| Cache::new(Arc::clone(store) as _).namespace(part).unwrap();
    let (a, z) = (handle(&from, "a"), handle(&to, "z"));
    assert_eq!(a.copy_to(&z, &CopyOptions::default()).await.unwrap().copied, 2);
    assert_eq!(spaces(&to).await, ["z", "z/b"]);
}

#[tokio::test]
async fn a_store_is_not_copied_to_itself() {
    let store = filled(3).await;
    let copy = store.copy_to(&*store, &root(), &CopyOptions::default()).await;
    assert!(copy.is_ok_and(|report| report.skipped == 3), "another pointer, and no location to tell");
    let copy = (*store).copy_to(&*store, &root(), &CopyOptions::default()).await;
    assert_eq!(copy.unwrap_err().kind(), ErrorKind::Invalid);
    let copy =
        (*store).copy_to(&*store, &root(), &CopyOptions::default().with_into("x".parse().unwrap())).await;
    assert_eq!(copy.unwrap_err().kind(), ErrorKind::Invalid, "it would copy what it has copied");
    let none = CopyOptions::default().with_at_once(0);
    assert_eq!(store.copy_to(&memory(), &root(), &none).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn the_version_that_was_modified_later_stays() {
    let key = Key::from(Digest::of("k"));
    for (overwrite, target, wins) in [
        (Overwrite::Older, 6, true),
        (Overwrite::Older, 7, true),
        (Overwrite::Older, 8, false),
        (Overwrite::Always, 8, true),
        (Overwrite::Never, 6, false),
    ] {
        let (from, to) = (memory(), memory());
        put(&from, &key, 7, [(BlobName::DATA, "source".into())]).await;
        put(&to, &key, target, [(BlobName::DATA, "target".into()), (log(), "more".into())]).await;
        let before = held(&to).await;
        let options = CopyOptions::default().with_overwrite(overwrite);
        let report = from.copy_to(&to, &root(), &options).await.unwrap();
        assert_eq!(
            (report.copied, report.kept),
            (u64::from(wins), u64::from(!wins)),
            "{overwrite:?} {target}"
        );
        assert!(report.is_complete());
        assert_eq!(held(&to).await, if wins { held(&from).await } else { before });
    }
}

#[tokio::test]
async fn after_failures_of_the_source_the_next_copy_does_the_rest_only() {
    let (inner, to) = (filled(30).await, memory());
    let from = Flaky::new(Arc::clone(&inner)).with_only(&[Call::GetEntry]).with_faults(When::Every(4));
    let options = CopyOptions::default().with_at_once(1);
    let report = from.copy_to(&to, &root(), &options).await.unwrap();
    assert_eq!((report.entries, report.copied, report.failed), (30, 23, 7), "{report}");
    assert_eq!(report.first_error.as_ref().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!((report.missing.len(), report.is_complete()), (7, false));
    assert_eq!(report.missing.first(), keys(30).get(3));
    assert_eq!(report.resume_after.as_ref(), keys(30).get(2), "nothing failed up to here");
    from.arm(When::Never);
    let puts = to.metrics().puts;
    let rest = from.copy_to(&to, &root(), &options).await.unwrap();
    assert!(rest.is_complete(), "{rest}");
    assert_eq!((rest.copied, rest.skipped, to.metrics().puts - puts), (7, 23, 7));
    assert_eq!(held(&to).await, held(&inner).await);
}

#[tokio::test]
async fn a_copy_begins_after_a_key() {
    let (from, to) = (filled(10).await, memory());
    let options = CopyOptions::default().with_start_after(keys(10)[5].clone());
    let report = from.copy_to(&to, &root(), &options).await.unwrap();
    assert_eq!((report.entries, report.copied), (4, 4));
    assert_eq!(report.resume_after.as_ref(), keys(10).last());
    assert_eq!(held(&to).await, held(&from).await[6..]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_copy_leaves_whole_entries_and_the_next_does_the_rest() {
    let (from, inner) = (filled(20).await, memory());
    let to = Hanging::new(Arc::clone(&inner)).with_only(&[Call::Put, Call::PutStream]);
    let done = Arc::new(AtomicBool::new(false));
    let (hang, reached) = (to.clone(), Arc::clone(&done));
    let options = CopyOptions::default().with_progress(move |at| {
        if at.copied == 7 {
            reached.store(true, Ordering::Relaxed);
            hang.hang();
        }
    });
    let copy = tokio::time::timeout(Duration::from_secs(60), from.copy_to(&to, &root(), &options)).await;
    assert!(copy.is_err() && done.load(Ordering::Relaxed), "it hangs in the middle");
    let before = held(&inner).await;
    assert!((7..20).contains(&before.len()), "{}", before.len());
    let whole = held(&from).await;
    assert!(before.iter().all(|entry| whole.contains(entry)));
    to.release();
    let rest = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!((rest.skipped, rest.copied), (before.len() as u64, 20 - before.len() as u64));
    assert_eq!(held(&inner).await, whole);
}

#[tokio::test]
async fn a_full_target_fails_entries_and_takes_the_rest_when_it_has_room() {
    let (from, inner) = (filled(10).await, memory());
    let to = Full::new(Arc::clone(&inner)).with_room(500);
    let options = CopyOptions::default().with_at_once(1);
    let report = from.copy_to(&to, &root(), &options).await.unwrap();
    assert_eq!(report.first_error.as_ref().unwrap().kind(), ErrorKind::NoSpace);
    assert_eq!((report.copied + report.failed, report.copied), (10, 4), "{report}");
    assert_eq!(report.resume_after, None, "the first one has 3 MiB");
    to.release();
    let rest = from.copy_to(&to, &root(), &options).await.unwrap();
    assert_eq!((rest.copied, rest.skipped), (6, 4), "{rest}");
    assert_eq!(held(&inner).await, held(&from).await);
}

#[tokio::test]
async fn what_the_target_does_not_take_is_counted_and_named() {
    let from = filled(10).await;
    let large = keys(10)[0].clone();
    for options in [
        MemoryOptions::unlimited().with_max_bytes(1 << 20),
        MemoryOptions::unlimited().with_max_blob_bytes(1 << 20),
    ] {
        let to = MemoryStore::open(options).unwrap();
        let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
        assert_eq!((report.copied, report.refused, report.failed), (9, 1, 0), "{report}");
        assert_eq!((report.missing.clone(), report.is_complete()), (vec![large.clone()], false));
        assert_eq!(report.resume_after.as_ref(), keys(10).last(), "it would be refused again");
    }
}

#[tokio::test]
async fn what_a_target_evicts_meanwhile_is_told() {
    let from = memory();
    for key in keys(20) {
        put(&from, &key, 7, [(BlobName::DATA, vec![0; 100].into())]).await;
    }
    let to = MemoryStore::open(MemoryOptions::unlimited().with_max_bytes(1000)).unwrap();
    let report = from.copy_to(&to, &root(), &CopyOptions::default().with_at_once(1)).await.unwrap();
    to.flush().await.unwrap();
    let there = to.usage(&root()).await.unwrap().entries;
    assert_eq!(report.copied + report.refused, 20);
    assert!(report.evicted >= 10 && there <= 10, "{report}, {there} are there");
    assert!(report.to_string().contains("evicted by the target"));
}

#[tokio::test]
async fn damage_at_the_source_is_named_and_not_copied() {
    let inner = filled(10).await;
    let from = Flaky::new(Arc::clone(&inner)).with_only(&[Call::GetEntry]).with_kind(ErrorKind::Corrupt);
    from.arm(When::Nth(3));
    let to = memory();
    let report = from.copy_to(&to, &root(), &CopyOptions::default().with_at_once(1)).await.unwrap();
    assert_eq!((report.copied, report.damaged, report.failed), (9, 1, 0), "{report}");
    assert_eq!(report.missing, keys(10)[2..3]);
    assert!(!report.is_complete() && report.first_error.is_none());
    assert_eq!(report.resume_after.as_ref(), keys(10).last(), "it is lost");
    assert!(!to.contains(&keys(10)[2]).await.unwrap());
}

#[tokio::test]
async fn a_source_that_hands_out_other_bytes_than_it_tells_is_damaged() {
    // The first entry has a blob that streams, the second has none; each has two blobs.
    for (defect, nth, at) in [(Defect::BitFlip, 3, 1), (Defect::Truncation, 3, 1), (Defect::Truncation, 1, 0)]
    {
        let from = Corrupting::new(filled(5).await).with_defect(defect).with_faults(When::Nth(nth));
        let to = memory();
        let report = from.copy_to(&to, &root(), &CopyOptions::default().with_at_once(1)).await.unwrap();
        assert_eq!((report.copied, report.damaged), (4, 1), "{defect:?} {nth}: {report}");
        assert_eq!(report.missing, keys(5)[at..=at]);
        assert!(!to.contains(&keys(5)[at]).await.unwrap());
    }
}

#[tokio::test]
async fn what_a_target_tears_is_found_evicted_and_named() {
    for tear in [Tear::CutsShort(4), Tear::LosesBlobs(1)] {
        let (from, inner) = (filled(10).await, memory());
        let to = Torn::new(Arc::clone(&inner)).with_tear(tear).with_faults(When::Nth(3));
        let options = CopyOptions::default().with_at_once(1);
        let report = from.copy_to(&to, &root(), &options).await.unwrap();
        assert_eq!((report.copied, report.failed), (9, 1), "{tear:?}: {report}");
        assert_eq!(report.missing, keys(10)[2..3]);
        let error = report.first_error.unwrap();
        assert_eq!((error.kind(), error.key()), (ErrorKind::Corrupt, keys(10).get(2)));
        assert!(!inner.contains(&keys(10)[2]).await.unwrap(), "it is gone");
        assert_eq!(from.copy_to(&to, &root(), &options).await.unwrap().copied, 1);
        assert_eq!(held(&inner).await, held(&from).await);
    }
}

#[tokio::test]
async fn without_reading_back_a_torn_entry_is_not_found() {
    let (from, inner) = (filled(3).await, memory());
    let to = Torn::new(Arc::clone(&inner)).with_tear(Tear::CutsShort(4)).with_faults(When::Nth(2));
    let options = CopyOptions::default().with_verify(false);
    assert!(from.copy_to(&to, &root(), &options).await.unwrap().is_complete());
    let report = from.copy_to(&inner, &root(), &options).await.unwrap();
    assert_eq!((report.copied, report.skipped), (1, 2), "the next one sees its length");
}

#[tokio::test]
async fn what_a_target_reads_back_otherwise_is_evicted() {
    let (from, inner) = (filled(10).await, memory());
    let to = Corrupting::new(Arc::clone(&inner)).with_faults(When::Nth(6));
    let report = from.copy_to(&to, &root(), &CopyOptions::default().with_at_once(1)).await.unwrap();
    assert_eq!((report.copied, report.failed), (9, 1), "{report}");
    assert_eq!(report.missing, keys(10)[2..3], "of two blobs each");
    assert!(!inner.contains(&keys(10)[2]).await.unwrap());
}

#[tokio::test]
async fn a_flush_that_fails_is_told_and_nothing_is_called_durable() {
    let (from, inner) = (filled(3).await, memory());
    let to = Flaky::new(Arc::clone(&inner)).with_only(&[Call::Flush]).with_faults(When::Every(1));
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!((report.copied, report.durable, report.is_complete()), (3, false, false));
    assert_eq!(report.flush_error.as_ref().unwrap().kind(), ErrorKind::Unavailable);
    assert!(
        report.first_error.is_none() && report.to_string().contains("; not durable; flaky: flush"),
        "{report}"
    );
    let flushed = to.failed();
    let options = CopyOptions::default().with_flush(false);
    let report = from.copy_to(&to, &root(), &options).await.unwrap();
    assert!(report.is_complete() && !report.durable && to.failed() == flushed);
}

#[tokio::test]
async fn a_store_that_is_closed_ends_the_copy() {
    for closed_source in [true, false] {
        let (from, to) = (filled(3).await, memory());
        if closed_source { &from } else { &to }.close(None).await.unwrap();
        let copy = from.copy_to(&to, &root(), &CopyOptions::default()).await;
        assert_eq!(copy.unwrap_err().kind(), ErrorKind::Closed);
    }
}

#[tokio::test]
async fn a_long_blob_is_copied_piece_by_piece() {
    let (from, to, key) = (memory(), memory(), Key::from(Digest::of("k")));
    let pieces = stream::iter((0..64_u8).map(|n| Ok(Bytes::from(vec![n; 1 << 20])))).boxed();
    let entry = PutEntry::default().with_stream(BlobName::DATA, None, pieces);
    from.put(&key, entry, PutOptions::default()).await.unwrap();
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!((report.copied, report.bytes), (1, 64 << 20));
    assert_eq!(held(&to).await, held(&from).await);
}
