use std::sync::{Mutex, atomic::AtomicUsize};

use super::*;
use crate::{Digest, PutEntry, PutOptions, toy::Toy, wrap::probe::Probe};

/// Ascending.
fn digests(count: u32) -> Vec<Digest> {
    let mut digests: Vec<_> = (0..count).map(|n| Digest::of(n.to_be_bytes())).collect();
    digests.sort_unstable();
    digests
}

fn root() -> Namespace {
    Namespace::root()
}

#[tokio::test]
async fn verify_of_sound_entries_counts_them_and_their_bytes() {
    let toy = Toy::holding(digests(100));
    let report = toy.verify(&root(), &VerifyOptions::default()).await.unwrap();
    assert!(report.is_sound());
    assert_eq!((report.entries, report.bytes, report.damaged), (100, 100, 0));
    assert_eq!(report.to_string(), "100 entries, 100 B verified: 0 damaged, 0 repaired");
    let empty = Toy::default().verify(&root(), &VerifyOptions::default()).await.unwrap();
    assert!(empty.is_sound() && empty.entries == 0);
}

#[tokio::test]
async fn verify_stays_in_its_scope() {
    let toy = Toy::default();
    for namespace in ["a", "a/b", "aa", ""] {
        let key = Key::new(namespace.parse().unwrap(), Digest::of("k"));
        toy.put(&key, PutEntry::data("value"), PutOptions::default()).await.unwrap();
    }
    let report = toy.verify(&"a".parse().unwrap(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.entries, report.bytes), (2, 10));
}

#[tokio::test]
async fn verify_goes_on_past_what_is_damaged_and_what_cannot_be_read() {
    let digests = digests(100);
    let mut toy = Toy::holding(digests.clone());
    toy.bad = (0..30).map(|n| (digests[3 * n], ErrorKind::Corrupt)).collect();
    toy.bad.push((digests[91], ErrorKind::Denied));
    let options = VerifyOptions::default().with_max_keys(7);
    let report = toy.verify(&root(), &options).await.unwrap();
    assert!(!report.is_sound());
    assert_eq!((report.entries, report.bytes), (100, 69));
    assert_eq!((report.damaged, report.repaired, report.unreadable), (30, 0, 1));
    assert!(report.lost.len() == 7 && report.lost.iter().all(|key| digests.contains(&key.digest)));
    assert_eq!(report.first_error.as_ref().unwrap().kind(), ErrorKind::Denied);
    assert!(report.to_string().contains("30 damaged, 0 repaired, 1 unreadable; "), "{report}");
}

#[tokio::test]
async fn verify_tells_of_a_listing_that_fails() {
    let digests = digests(20);
    let mut toy = Toy::holding(digests.clone());
    toy.unreadable = Some(digests[10]);
    let report = toy.verify(&root(), &VerifyOptions::default()).await.unwrap();
    assert_eq!((report.is_sound(), report.first_error.unwrap().kind()), (false, ErrorKind::Unavailable));
    assert!(report.entries >= 10);
    toy = Toy::holding([digests[0]]);
    toy.unreadable = Some(digests[0]);
    let error = toy.verify(&root(), &VerifyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    toy = Toy::holding(digests.clone());
    toy.bad = vec![(digests[3], ErrorKind::Closed)];
    let error = toy.verify(&root(), &VerifyOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn what_cannot_be_counted_is_verified_all_the_same() {
    let digests = digests(20);
    let mut toy = Toy::holding(digests.clone());
    toy.unreadable = Some(digests[10]);
    toy.bad = vec![(digests[3], ErrorKind::Corrupt)];
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let options = VerifyOptions::default().with_progress(move |at| tell.lock().unwrap().push(at.clone()));
    let report = toy.verify(&root(), &options).await.unwrap();
    assert!(report.entries >= 10 && report.damaged == 1 && report.first_error.is_some(), "{report}");
    assert!(told.lock().unwrap().iter().all(|at| (at.of_entries, at.of_bytes) == (0, 0)));
}

#[tokio::test]
async fn damage_at_the_end_of_a_stream_is_found() {
    let mut probe = Probe::default();
    let long: &'static str = "x".repeat(70_000).leak();
    probe.plant(&Key::from(Digest::of("k")), BlobName::DATA, "short");
    probe.plant(&Key::from(Digest::of("k")), BlobName::new("log").unwrap(), long);
    let key = Key::from(Digest::of("k"));
    let whole = long.len() as u64 + 5;
    assert_eq!(read_through(&probe, &key, |_| ()).await.unwrap(), Some(whole));
    probe.broken = Some(ErrorKind::Corrupt);
    let error = read_through(&probe, &key, |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[derive(Default)]
struct Healer {
    asked: Mutex<Vec<Digest>>,
    sound: Vec<Digest>,
    broken: Vec<Digest>,
}

#[async_trait]
impl Repair for Arc<Healer> {
    async fn repair(&self, key: &Key) -> Result<bool> {
        self.asked.lock().unwrap().push(key.digest);
        if self.broken.contains(&key.digest) {
            return Err(Error::new(ErrorKind::NoSpace, "healer", "put"));
        }
        Ok(self.sound.contains(&key.digest))
    }
}

#[tokio::test]
async fn what_can_be_repaired_is_and_the_rest_is_named() {
    let digests = digests(10);
    let mut toy = Toy::holding(digests.clone());
    toy.bad = digests[..3].iter().map(|digest| (*digest, ErrorKind::Corrupt)).collect();
    let healer = Healer { sound: vec![digests[0]], broken: vec![digests[2]], ..Healer::default() };
    let healer = Arc::new(healer);
    let options = VerifyOptions::default().for_tier(&"slow".into(), Some(Arc::new(Arc::clone(&healer))));
    let report = toy.verify(&root(), &options).await.unwrap();
    assert_eq!((report.damaged, report.repaired, report.lost.len()), (3, 1, 2));
    assert_eq!(report.first_error.unwrap().kind(), ErrorKind::NoSpace);
    assert_eq!(healer.asked.lock().unwrap().len(), 3);
    let report = toy.verify(&root(), &options.with_repair(false)).await.unwrap();
    assert_eq!((report.damaged, report.repaired), (3, 0));
    assert_eq!(healer.asked.lock().unwrap().len(), 3, "nobody is asked to repair");
}

#[tokio::test]
async fn progress_goes_from_nothing_to_everything() {
    let toy = Toy::holding(digests(50));
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let options = VerifyOptions::default().with_progress(move |at| tell.lock().unwrap().push(at.clone()));
    let options = options.for_tier(&"outer".into(), None).for_tier(&"inner".into(), None);
    toy.verify(&root(), &options).await.unwrap();
    let told = told.lock().unwrap();
    let (first, last) = (told.first().unwrap(), told.last().unwrap());
    assert_eq!((first.entries, first.bytes, first.of_entries, first.of_bytes), (0, 0, 50, 50));
    assert_eq!((last.entries, last.bytes, last.of_entries, last.of_bytes), (50, 50, 50, 50));
    assert_eq!(last.tier.as_deref(), Some("outer/inner"));
    assert!(told.is_sorted_by_key(|at| (at.entries, at.bytes)));
}

#[tokio::test]
async fn a_dropped_verify_reads_no_further() {
    let probe = Probe { delay: std::time::Duration::from_millis(5), ..Probe::default() };
    for digest in digests(20) {
        probe.plant(&Key::from(digest), BlobName::DATA, "value");
    }
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let options = VerifyOptions::default().with_progress(move |at| {
        count.store(usize::try_from(at.entries).unwrap(), Ordering::Relaxed);
    });
    let scope = root();
    let verify = probe.verify(&scope, &options);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(30), verify).await.is_err());
    let reached = told.load(Ordering::Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    assert!(reached < 20 && told.load(Ordering::Relaxed) == reached);
}
