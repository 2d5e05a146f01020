use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache_conformance::{
    CLAUSES, Clause, Factory, Outcome, Reference, RunOptions, Runner, Setup, Verdict, mutant::Mutant,
};
use cache_core::{Error, ErrorKind, Result, Store};

/// Opens nothing, at once or ever.
struct Closed {
    hangs: bool,
}

#[async_trait]
impl Factory for Closed {
    async fn open(&self, _setup: &Setup) -> Result<Arc<dyn Store>> {
        if self.hangs {
            std::thread::sleep(Duration::from_secs(3));
        }
        Err(Error::new(ErrorKind::Unavailable, "toy", "open"))
    }
}

#[test]
fn store_that_does_not_open_fails_and_says_why() {
    let clause = Clause::named("miss_is_none").unwrap();
    let Outcome::Failed(found) = clause.run(Closed { hangs: false }) else { panic!("it passed") };
    assert!(found.contains("toy: open: backend unavailable"), "{found}");
}

#[test]
fn store_that_blocks_its_thread_times_out() {
    let limit = Duration::from_millis(50);
    let outcome = Clause::named("miss_is_none")
        .unwrap()
        .run_with(Closed { hangs: true }, RunOptions::default().with_limit(limit));
    assert_eq!(outcome, Outcome::TimedOut(limit));
}

#[test]
#[should_panic(expected = "An absent entry reads as `Ok(None)`, everywhere.")]
fn failed_test_tells_the_requirement() {
    cache_conformance::assert_passes("miss_is_none", Closed { hangs: false });
}

#[test]
#[should_panic(expected = "no such clause")]
fn unknown_clause_is_no_success() {
    cache_conformance::assert_passes("misses_are_fun", Closed { hangs: false });
}

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

#[test]
fn all_clauses_run_over_fresh_stores_and_are_reported_in_order() {
    let (fresh, told) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let report = Runner::default().run(
        "reference",
        |_| {
            fresh.fetch_add(1, Ordering::SeqCst);
            Reference::default()
        },
        |done| {
            assert!(told.lock().unwrap().insert(done.id.clone()), "{} is told twice", done.id);
            GO_ON
        },
    );
    let ids: Vec<_> = report.clauses.iter().map(|clause| clause.id.as_str()).collect();
    assert_eq!(ids, CLAUSES.iter().map(|clause| clause.id).collect::<Vec<_>>());
    assert!(report.is_success(), "{report}");
    assert_eq!((report.failed(), report.not_run() + report.passed()), (0, CLAUSES.len()));
    assert_eq!((fresh.into_inner(), told.into_inner().unwrap().len()), (CLAUSES.len(), CLAUSES.len()));
}

#[test]
fn chosen_clauses_run_in_the_order_of_the_list_and_once() {
    let runner = Runner::default().only("evict_is_idempotent").unwrap().only("keys").unwrap();
    let runner = runner.only("miss_is_none").unwrap();
    let chosen: Vec<_> = runner.clauses().map(|clause| clause.id).collect();
    let keys = CLAUSES.iter().filter(|clause| clause.group == "keys").map(|clause| clause.id);
    assert_eq!(chosen, ["miss_is_none"].into_iter().chain(keys).collect::<Vec<_>>());
    assert!(Runner::default().only("nothing_like_that").is_none());
}

#[test]
fn broken_store_is_reported_by_clause() {
    let mutant = Mutant::named("lists_descending").unwrap();
    let report = Runner::default().only("list").unwrap().run("mutant", |_| mutant.factory(), |_| GO_ON);
    assert!(!report.is_success());
    let broken = report.clauses.iter().find(|clause| clause.id == "list_is_ascending").unwrap();
    assert_eq!(broken.outcome, Verdict::Failed);
    assert!(!broken.detail.is_empty());
}

#[test]
fn clauses_that_a_stop_left_are_not_run() {
    let runner = Runner::default().only("keys").unwrap().with_jobs(NonZeroUsize::MIN);
    let report = runner.run("reference", |_| Reference::default(), |_| ControlFlow::Break(()));
    assert_eq!((report.passed(), report.not_run()), (1, report.clauses.len() - 1));
    assert_eq!(report.clauses[1].detail, "the run was stopped before");
}

#[test]
fn factory_that_cannot_be_made_fails_its_clause_and_no_other() {
    let runner = Runner::default().only("keys").unwrap();
    let fresh = |clause: &Clause| {
        assert!(clause.id != "evict_is_idempotent", "no directory for this one");
        Reference::default()
    };
    let report = runner.run("reference", fresh, |_| GO_ON);
    let broken: Vec<_> = report.clauses.iter().filter(|clause| clause.outcome != Verdict::Passed).collect();
    assert_eq!(broken.len(), 1, "{report}");
    assert_eq!(
        (broken[0].outcome, broken[0].detail.as_str()),
        (Verdict::Failed, "no directory for this one")
    );
}

#[test]
fn as_many_clauses_run_at_once_as_there_are_jobs() {
    let (under_way, more) = (Mutex::new((0, 0)), Condvar::new());
    for jobs in [1, 3] {
        let runner = Runner::default().only("keys").unwrap().with_jobs(NonZeroUsize::new(jobs).unwrap());
        *under_way.lock().unwrap() = (0, 0);
        _ = runner.run(
            "reference",
            |_| {
                let mut under_way = under_way.lock().unwrap();
                under_way.0 += 1;
                under_way.1 = under_way.1.max(under_way.0);
                more.notify_all();
                // With time for all of them to begin, and for one too many.
                let patience = Duration::from_secs(20);
                let all = more.wait_timeout_while(under_way, patience, |under_way| under_way.1 < jobs);
                drop(all.unwrap());
                std::thread::sleep(Duration::from_millis(50));
                Reference::default()
            },
            |_| {
                under_way.lock().unwrap().0 -= 1;
                GO_ON
            },
        );
        assert_eq!(under_way.lock().unwrap().1, jobs);
    }
}

#[test]
fn at_least_one_sequence_is_tried() {
    for clause in CLAUSES.iter().filter(|clause| clause.group == "model") {
        let outcome = clause.run_with(Closed { hangs: false }, RunOptions::default().with_cases(0));
        assert!(matches!(outcome, Outcome::Failed(_)), "{clause:?}: {outcome}");
    }
}

#[test]
fn seed_decides_what_random_operations_find() {
    let mutant = Mutant::named("forgets_a_fill_after_a_merged_entry").unwrap();
    let clause = Clause::named("random_operations_agree_with_a_model").unwrap();
    let run = || clause.run_with(mutant.factory(), RunOptions::default().with_seed(1));
    let Outcome::Failed(found) = run() else { panic!("it passed") };
    assert!(
        found.contains("CACHE_CONFORMANCE_SEED=1 cargo test random_operations_agree_with_a_model\n"),
        "{found}"
    );
    let flags = "or cache conformance --only random_operations_agree_with_a_model --seed 1";
    assert!(found.ends_with(flags), "{found}");
    // One operation a line, and each of them needed.
    let steps: Vec<_> = found.lines().filter(|line| line.starts_with("   ")).collect();
    assert_eq!(steps.len(), 3, "{found}");
    for (number, (step, words)) in (1..).zip(steps.iter().zip(["put|as Merge", "clean|", "put|as Fill"])) {
        let (operation, mode) = words.split_once('|').unwrap();
        assert!(step.starts_with(&format!("   {number}  {operation}")) && step.contains(mode), "{found}");
    }
    assert_eq!(run(), Outcome::Failed(found));
}
