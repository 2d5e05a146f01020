use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::{Parser, Subcommand};

use crate::{
    failure::Result,
    harness::rounds::Kind,
    heap::{
        database, hit, peak,
        stream::{self, Way},
    },
    subject::{
        Capacity, Subject, buckets, files,
        lineup::{Visitor, more_rivals, ours, rivals},
    },
};

/// How the counting allocator of a process is read.
#[derive(Clone, Copy, Debug)]
pub struct HeapCounters {
    /// Allocations and reallocations so far.
    pub allocations: fn() -> usize,
    /// Bytes that are allocated now.
    pub allocated: fn() -> usize,
    /// The most bytes that ever were.
    pub peak: fn() -> usize,
}

/// What a counting process is asked; it answers in numbers on one line.
#[derive(Debug, Parser)]
pub struct HeapQuestion {
    #[command(subcommand)]
    question: Question,
    /// Who is asked about.
    #[arg(long, global = true, default_value = "")]
    contender: String,
    /// Tiny sizes.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Allocations and copies per hit.
    Hit,
    /// The heap's peak and what stays, both as shares of the budget.
    Peak {
        /// Which of the scenarios.
        scenario: usize,
    },
    /// The heap's peak and the most that was resident, in mebibytes, while so many bytes stream.
    Stream {
        /// Which way.
        way: Way,
        /// Where the store lies.
        dir: PathBuf,
        /// Of the stream.
        bytes: u64,
    },
    /// The same to and from a bucket.
    Bucket {
        /// Which way.
        way: Way,
        /// Where its server is.
        endpoint: String,
        /// Of the stream.
        bytes: u64,
    },
    /// The heap's peak and the most that was resident, in mebibytes, when a database is opened and read from.
    Database {
        /// Where it lies.
        dir: PathBuf,
        /// How many entries are read.
        gets: usize,
    },
}

/// Answers a question about this process.
///
/// # Errors
///
/// If there is no such contender or scenario, or if the contender fails.
pub fn answer(
    question: &HeapQuestion,
    counters: &HeapCounters,
) -> std::result::Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut asked = Asked { question, counters, figures: None };
    match &question.question {
        Question::Hit => all(hit::capacity(), &mut asked)?,
        Question::Peak { scenario } => all(peak::find(*scenario)?.capacity(question.quick), &mut asked)?,
        Question::Stream { way, dir, bytes } => {
            asked.figures = Some(stream::count(*way, *bytes, counters, || files::ours::cache(dir))?);
        }
        Question::Bucket { way, endpoint, bytes } => {
            asked.figures = Some(stream::count(*way, *bytes, counters, || buckets::ours::cache(endpoint))?);
        }
        Question::Database { dir, gets } => {
            asked.figures = Some(database::count(dir, *gets, counters)?);
        }
    }
    let figures = asked.figures.ok_or_else(|| format!("there is no contender {:?}", question.contender))?;
    Ok(figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" "))
}

fn all(capacity: Capacity, visitor: &mut impl Visitor) -> Result<()> {
    ours(capacity, visitor)?;
    rivals(capacity, visitor)?;
    more_rivals(capacity, visitor)
}

struct Asked<'a> {
    question: &'a HeapQuestion,
    counters: &'a HeapCounters,
    figures: Option<Vec<f64>>,
}

impl Visitor for Asked<'_> {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        _: Kind,
        make: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        if name == self.question.contender {
            self.figures = Some(match &self.question.question {
                Question::Hit => hit::count(&make()?, self.counters)?,
                Question::Peak { scenario } => {
                    peak::find(*scenario)?.count(make, self.counters, self.question.quick)?
                }
                Question::Stream { .. } | Question::Bucket { .. } | Question::Database { .. } => {
                    return Ok(());
                }
            });
        }
        Ok(())
    }
}

/// Asks a process of its own, so that nobody's memory is counted with another's.
pub(crate) fn ask(program: &Path, arguments: &[&str], contender: &str, quick: bool) -> Result<Vec<f64>> {
    let mut command = Command::new(program);
    command.args(arguments).args(["--contender", contender]);
    if quick {
        command.arg("--quick");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    let figures: std::result::Result<Vec<f64>, _> =
        String::from_utf8(output.stdout)?.split_whitespace().map(str::parse).collect();
    Ok(figures?)
}

/// Whom a counting process can be asked about; of the last ones only whether they allocate.
pub(crate) fn names(all_of_them: bool) -> Result<Vec<(String, Kind)>> {
    let mut names = Names(Vec::new());
    ours(hit::capacity(), &mut names)?;
    rivals(hit::capacity(), &mut names)?;
    if all_of_them {
        more_rivals(hit::capacity(), &mut names)?;
    }
    Ok(names.0)
}

struct Names(Vec<(String, Kind)>);

impl Visitor for Names {
    fn visit<S: Subject>(
        &mut self,
        name: &str,
        kind: Kind,
        _: impl Fn() -> Result<S> + 'static,
    ) -> Result<()> {
        self.0.push((name.to_owned(), kind));
        Ok(())
    }
}
