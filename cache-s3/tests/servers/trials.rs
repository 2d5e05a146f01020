//! What is tried on which server.

use std::{process::ExitCode, sync::Arc};

use cache_conformance::{CLAUSES, Clause, Factory, Outcome, RunOptions};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// Why a server does not answer.
#[derive(Clone, Debug)]
pub(crate) enum Absent {
    /// It is not here: what is needed.
    Needs(String),
    /// It is here and does not work.
    Broken(String),
}

impl Absent {
    pub(crate) fn needs(what: impl Into<String>) -> Self {
        Self::Needs(what.into())
    }

    pub(crate) fn broken(what: impl std::fmt::Display) -> Self {
        Self::Broken(what.to_string())
    }

    /// What becomes of a test that wanted it.
    pub(crate) fn verdict(self) -> Result<Completion, Failed> {
        match self {
            Self::Needs(what) => Ok(Completion::ignored_with(what)),
            Self::Broken(what) => Err(what.into()),
        }
    }
}

/// The clauses on one server, which is started when the first of them runs: one of so many, and all of them if
/// `CACHE_S3_LONG=1`.
pub(crate) fn suite<F: Factory>(
    server: &'static str,
    share: usize,
    factory: impl Fn(&'static Clause) -> Result<F, Absent> + Send + Sync + 'static,
) -> Vec<Trial> {
    let factory = Arc::new(factory);
    let is_long = variable("CACHE_S3_LONG").is_some_and(|value| value == "1");
    let trial = |(number, clause): (usize, &'static Clause)| {
        let factory = Arc::clone(&factory);
        let is_left = !is_long && !number.is_multiple_of(share);
        Trial::ignorable_test(format!("{server}::{}", clause.id), move || {
            if is_left {
                return Ok(Completion::ignored_with("CACHE_S3_LONG=1 tries it"));
            }
            let factory = match factory(clause) {
                Ok(factory) => factory,
                Err(absent) => return absent.verdict(),
            };
            // Elsewhere more sequences of random operations are tried, where a request costs less.
            let options = RunOptions::default().with_cases(6);
            match clause.run_with(factory, options) {
                Outcome::Passed => Ok(Completion::Completed),
                Outcome::NotRun(reason) => Ok(Completion::ignored_with(reason)),
                outcome => Err(format!("{outcome}\nrequired: {}", clause.requirement).into()),
            }
        })
    };
    CLAUSES.iter().enumerate().map(trial).collect()
}

pub(crate) fn main() -> ExitCode {
    let mut trials = Vec::new();
    #[cfg(feature = "s3")]
    {
        // object_store's own client, which reaches behind the store, finds the one of the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        trials.extend(crate::container::trials());
        trials.extend(crate::lifecycle::trials());
        trials.extend(crate::moto::trials());
    }
    #[cfg(feature = "azure")]
    trials.extend(crate::azurite::trials());
    // Each has two threads of its own, and waits for others most of the time.
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(4));
    let conclusion = libtest_mimic::run(&arguments, trials);
    #[cfg(feature = "s3")]
    {
        crate::container::stop();
        crate::moto::stop();
    }
    #[cfg(feature = "azure")]
    crate::azurite::stop();
    conclusion.exit_code()
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment only")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
