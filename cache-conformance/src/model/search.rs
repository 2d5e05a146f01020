use std::{
    cell::Cell,
    fmt::Write,
    hash::{BuildHasher, Hasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};

use super::step::{Step, sequences};
use crate::{
    RunOptions,
    run::{self, text_of},
};

/// Tries a check on random sequences. What it finds is the least sequence that fails, and how to see it
/// again.
pub(crate) fn search(clause: &str, check: impl Fn(&[Step]) -> Result<(), String>) -> Result<(), String> {
    let options = run::options();
    let seed = seed_of(options);
    let until = Instant::now() + options.for_random();
    let shrinking = Cell::new(false);
    let check = |steps: &[Step]| {
        let checked = catch_unwind(AssertUnwindSafe(|| check(steps)));
        checked.unwrap_or_else(|panic| Err(format!("It panics: {}", text_of(&*panic))))
    };
    let tried = runner(seed, options).run(&sequences(), |steps| {
        // On a store that is slow, the first sequences have to be enough.
        if !shrinking.get() && Instant::now() > until {
            return Ok(());
        }
        check(&steps).map_err(|wrong| {
            shrinking.set(true);
            TestCaseError::fail(wrong)
        })
    });
    match tried {
        Ok(()) => Ok(()),
        Err(TestError::Fail(wrong, steps)) => {
            let (wrong, steps) =
                without_idle_steps(wrong.to_string(), steps, check, until + options.limit / 3);
            Err(report(clause, &wrong, &steps, seed, options))
        }
        Err(aborted) => Err(aborted.to_string()),
    }
}

/// Leaves out steps until each of them is needed: proptest tries that but once for each.
fn without_idle_steps(
    mut wrong: String,
    mut steps: Vec<Step>,
    check: impl Fn(&[Step]) -> Result<(), String>,
    until: Instant,
) -> (String, Vec<Step>) {
    let mut at = 0;
    while at < steps.len() && Instant::now() < until {
        let mut fewer = steps.clone();
        fewer.remove(at);
        match check(&fewer) {
            Ok(()) => at += 1,
            Err(other) => (wrong, steps, at) = (other, fewer, 0),
        }
    }
    (wrong, steps)
}

fn seed_of(options: RunOptions) -> u64 {
    options.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

/// Random values for as many cases as there are to be, and how to see them again.
pub(crate) fn draw<S: Strategy>(clause: &str, strategy: &S) -> (Vec<S::Value>, String) {
    let options = run::options();
    let seed = seed_of(options);
    let mut runner = runner(seed, options);
    let cases = (0..options.cases).filter_map(|_| Some(strategy.new_tree(&mut runner).ok()?.current()));
    (cases.collect(), again(clause, seed, options))
}

fn runner(seed: u64, options: RunOptions) -> TestRunner {
    TestRunner::new(Config {
        cases: options.cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 4096,
        max_shrink_time: u32::try_from(options.limit.as_millis() / 4).unwrap_or(u32::MAX),
        ..Config::default()
    })
}

fn report(clause: &str, wrong: &str, steps: &[Step], seed: u64, options: RunOptions) -> String {
    let mut text = format!("{wrong}\nThe least sequence that was found to fail:\n");
    for (number, step) in (1..).zip(steps) {
        _ = writeln!(text, "{number:4}  {step}");
    }
    text.push_str(&again(clause, seed, options));
    text
}

/// How to try the same again.
fn again(clause: &str, seed: u64, options: RunOptions) -> String {
    let (seed_variable, cases_variable) = (RunOptions::SEED, RunOptions::CASES);
    let cases = options.cases;
    let mut environment = format!("{seed_variable}={seed}");
    let (mut call, mut flags) = (format!(".with_seed({seed})"), format!("--seed {seed}"));
    if cases != RunOptions::default().cases {
        _ = write!(environment, " {cases_variable}={cases}");
        _ = write!(call, ".with_cases({cases})");
        _ = write!(flags, " --cases {cases}");
    }
    format!(
        "To see it again: {environment} cargo test {clause}\nor RunOptions::default(){call}\n\
         or cache conformance --only {clause} {flags}"
    )
}

#[cfg(test)]
mod tests;
