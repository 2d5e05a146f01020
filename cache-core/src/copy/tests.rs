use std::sync::Mutex;

use super::*;
use crate::{BlobName, Digest, StoreExt, toy::Toy, wrap::probe::Probe};

fn keys(count: u32) -> Vec<Key> {
    let mut keys: Vec<_> = (0..count).map(|n| Key::from(Digest::of(n.to_be_bytes()))).collect();
    keys.sort_unstable();
    keys
}

fn toy(count: u32) -> Toy {
    Toy::holding(keys(count).into_iter().map(|key| key.digest))
}

fn probe(count: u32) -> Probe {
    let probe = Probe::default();
    for key in keys(count) {
        probe.plant(&key, BlobName::DATA, "value");
    }
    probe
}

fn root() -> Namespace {
    Namespace::root()
}

fn one_at_a_time() -> CopyOptions {
    CopyOptions::default().with_at_once(1)
}

#[tokio::test]
async fn a_report_tells_what_became_of_the_entries() {
    let (from, to) = (toy(3), Toy::default());
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!(report.to_string(), "3 entries: 3 copied, 3 B, 0 skipped; not durable");
    let to = probe(0);
    let report = toy(1).copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!(report.to_string(), "1 entry: 1 copied, 1 B, 0 skipped; durable");
}

#[tokio::test]
async fn versions_without_a_time_are_told_apart_by_their_bytes_or_not_at_all() {
    let (from, to) = (toy(3), toy(2));
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!((report.copied, report.skipped), (1, 2));
    let blind = CopyOptions::default().with_verify(false);
    let report = from.copy_to(&to, &root(), &blind).await.unwrap();
    assert_eq!((report.copied, report.skipped), (3, 0));
}

#[tokio::test]
async fn a_listing_that_fails_ends_the_copy() {
    let mut from = toy(10);
    from.unreadable = Some(keys(10)[6].digest);
    for at_once in [1, 4, 20] {
        let options = CopyOptions::default().with_at_once(at_once);
        let report = from.copy_to(&Toy::default(), &root(), &options).await.unwrap();
        assert_eq!((report.entries, report.copied, report.failed), (6, 6, 0));
        assert_eq!(report.first_error.as_ref().unwrap().kind(), ErrorKind::Unavailable);
        assert_eq!((report.resume_after.as_ref(), report.is_complete()), (keys(10).get(5), false));
    }
    from.unreadable = Some(keys(10)[0].digest);
    let error = from.copy_to(&Toy::default(), &root(), &CopyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn what_goes_meanwhile_is_passed_over() {
    let (from, to) = (probe(5), Toy::default());
    let (entries, gone) = (Arc::clone(&from.entries), keys(5)[3].clone());
    let options = one_at_a_time().with_progress(move |at| {
        if at.entries == 2 {
            entries.lock().unwrap().remove(&gone);
        }
    });
    let report = from.copy_to(&to, &root(), &options).await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.entries, report.copied), (4, 4));
    assert_eq!(report.resume_after.as_ref(), keys(5).last());
}

#[tokio::test]
async fn only_so_many_keys_are_named() {
    let mut from = toy(10);
    from.bad = keys(10)[2..9].iter().map(|key| (key.digest, ErrorKind::Corrupt)).collect();
    let report =
        from.copy_to(&Toy::default(), &root(), &CopyOptions::default().with_max_keys(3)).await.unwrap();
    assert_eq!((report.copied, report.damaged), (3, 7));
    assert_eq!(report.missing, keys(10)[2..5]);
}

#[tokio::test]
async fn what_is_damaged_at_the_target_is_written_again() {
    let (from, mut to) = (toy(3), toy(3));
    to.bad = vec![(keys(3)[1].digest, ErrorKind::Corrupt)];
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    // The toy goes on calling it damaged, so that it is not believed.
    assert_eq!((report.skipped, report.failed), (2, 1), "{report}");
    assert_eq!(report.first_error.unwrap().kind(), ErrorKind::Corrupt);
    to.bad.clear();
    let report = from.copy_to(&to, &root(), &CopyOptions::default()).await.unwrap();
    assert_eq!((report.skipped, report.copied), (2, 1), "it was evicted");
}

#[tokio::test]
async fn a_target_that_cannot_be_asked_fails_its_entries() {
    let (from, to) = (toy(3), probe(0));
    to.fail_next([ErrorKind::Denied]);
    let report = from.copy_to(&to, &root(), &one_at_a_time()).await.unwrap();
    assert_eq!((report.copied, report.failed), (2, 1));
    assert_eq!((report.first_error.unwrap().kind(), report.resume_after), (ErrorKind::Denied, None));
}

#[tokio::test]
async fn a_stream_that_breaks_off_at_the_source_leaves_what_the_target_has() {
    let key = |namespace: &str| Key::new(namespace.parse().unwrap(), Digest::of("k"));
    for (kind, damaged) in [(ErrorKind::Corrupt, 1), (ErrorKind::Timeout, 0)] {
        // One store, as it tells each of its kind is in the same place.
        let mut probe = Probe::default();
        probe.plant(&key("from"), BlobName::DATA, "x".repeat((1 << 20) + 1).leak());
        probe.plant(&key("to"), BlobName::DATA, "old");
        // Its listing breaks off as well, after the first entry.
        probe.broken = Some(kind);
        let options = CopyOptions::default().with_into(key("to").namespace);
        let report = copy(&probe, &probe.clone(), &key("from").namespace, &options).await.unwrap();
        assert_eq!((report.copied, report.damaged, report.failed), (0, damaged, 1 - damaged));
        assert_eq!(report.missing, [key("from")]);
        assert_eq!(report.first_error.unwrap().kind(), kind);
        assert_eq!(probe.holds(&key("to"), &BlobName::DATA).unwrap(), "old");
    }
}

#[tokio::test]
async fn progress_goes_from_nothing_to_everything() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let options = CopyOptions::default().with_progress(move |at| tell.lock().unwrap().push(at.clone()));
    toy(50).copy_to(&toy(20), &root(), &options).await.unwrap();
    let told = told.lock().unwrap();
    let (first, last) = (told.first().unwrap(), told.last().unwrap());
    assert_eq!((first.entries, first.bytes, first.of_entries, first.of_bytes), (0, 0, 50, 50));
    assert_eq!((last.entries, last.bytes, last.copied, last.skipped), (50, 50, 30, 20));
    assert!(told.is_sorted_by_key(|at| (at.entries, at.bytes)));
}
