mod ground;

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cache::Config;
use cache_conformance::{CLAUSES, ClauseReport, Report, RunOptions, Runner};
use indicatif::ProgressBar;
use tokio::{runtime::Handle, task::spawn_blocking, time::timeout};

use self::ground::Ground;
use crate::{Outcome, args::Shared, failure::Failure, output::Output, progress, signals, stores};

/// How long clauses that are under way may take after the signal to end.
const END_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store: URLs of tiers, fastest first. Without them --store and CACHE_STORE count.
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    /// The store is mine: limits are tried as well, and everything in it may go. It must be empty.
    ///
    /// The clauses run one after the other, each over the empty store. A store in memory does not need this: every open is a new one.
    #[arg(long, conflicts_with = "jobs")]
    exclusive: bool,
    /// Runs only this clause or this group of clauses. Repeat it for more.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Begins random operations here; a clause that fails tells its seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many sequences of random operations are tried.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cases: Option<u32>,
    /// How many clauses run at the same time [default: 2, or 1 where the store can be open only once].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// What the report calls the store [default: what it is and where it lies].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("conformance")?;
    shared.without_namespace("conformance", "it makes one of its own, and removes it")?;
    let urls = stores::chosen(&args.urls, shared)?;
    let runner = runner(&args)?;
    let ended = signals::ended().map_err(|error| Failure::io("cannot wait for signals", &error))?;
    let mut ended = pin!(ended);
    let ground = tokio::select! {
        ground = Ground::choose(Config::from_urls(urls)?, args.exclusive) => ground?,
        () = &mut ended => return Err(Failure::because("interrupted")),
    };
    let jobs = args.jobs.unwrap_or(Runner::JOBS);
    let runner = runner.with_jobs(if ground.has_room_for_one() { NonZeroUsize::MIN } else { jobs });
    let name = args.name.unwrap_or_else(|| ground.name());
    let report = run_on(&Arc::new(ground), runner, name, ended).await?;
    tell(&report, shared.json).await?;
    Ok(if report.is_success() { Outcome::Done } else { Outcome::Broken })
}

fn runner(args: &Args) -> Result<Runner, Failure> {
    let mut options = RunOptions::default();
    options.seed = args.seed;
    options.cases = args.cases.unwrap_or(options.cases);
    args.only.iter().try_fold(Runner::default().with_options(options), |runner, name| {
        runner.only(name).ok_or_else(|| {
            let mut groups: Vec<_> = CLAUSES.iter().map(|clause| clause.group).collect();
            groups.dedup();
            let groups = groups.join(", ");
            Failure::because(format!("there is no clause or group {name:?}; the groups are {groups}"))
        })
    })
}

/// Runs the clauses and leaves the ground as it was, however they end.
async fn run_on(
    ground: &Arc<Ground>,
    runner: Runner,
    name: String,
    ended: impl Future<Output = ()>,
) -> Result<Report, Failure> {
    let stop = Stop::default();
    let bar = progress::clauses(runner.clauses().count());
    let done = after_each(Arc::clone(ground), stop.clone(), bar.clone());
    let fresh = Arc::clone(ground);
    // Clauses bring their own runtimes and block their threads.
    let mut running = spawn_blocking(move || runner.run(&name, |clause| fresh.factory(clause), done));
    let report = tokio::select! {
        report = &mut running => report.map_err(|error| Failure::because(error.to_string())),
        () = ended => {
            stop.because(Failure::because("interrupted"));
            // A clause that takes longer is left behind, and may leave something behind.
            _ = timeout(END_WITHIN, running).await;
            Err(Failure::because("interrupted"))
        }
    };
    bar.finish_and_clear();
    ground.clear().await?;
    match stop.reason().take() {
        Some(why) => Err(why),
        None => report,
    }
}

/// Why no further clause begins, if so.
#[derive(Clone, Debug, Default)]
struct Stop(Arc<Mutex<Option<Failure>>>);

impl Stop {
    fn reason(&self) -> MutexGuard<'_, Option<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn because(&self, why: Failure) {
        self.reason().get_or_insert(why);
    }
}

/// What is done when a clause is: what it left is removed.
fn after_each(
    ground: Arc<Ground>,
    stop: Stop,
    bar: ProgressBar,
) -> impl Fn(&ClauseReport) -> ControlFlow<()> {
    let runtime = Handle::current();
    move |done| {
        bar.inc(1);
        if let Err(failure) = runtime.block_on(ground.clear_after(&done.id)) {
            stop.because(failure);
        }
        if stop.reason().is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

async fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    let mut output = Output::stdout();
    if json {
        let text = serde_json::to_string(report).map_err(|error| Failure::because(error.to_string()))?;
        output.line(text).await?;
    } else {
        output.line(report.to_string()).await?;
    }
    output.finish().await
}
