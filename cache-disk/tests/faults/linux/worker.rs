//! The process that uses a store by a script, and is killed, cut off or made to fail.

use std::{
    fmt::Write as _,
    fs::File,
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use cache_core::{Clock, Error, ErrorKind, PutMode, Store, SystemClock};
use cache_disk::{DiskOptions, DiskStore};
use tokio::runtime::{Builder, Runtime};

use super::{
    burn::Burner,
    inject::{Aim, CLOSING, OUTSIDE, Role, is_sync},
    model::{Known, Model, Past},
    perform::{Answer, blames_what_is_below, damage, judge, known, perform},
    script::{Script, Step},
};

/// A worker that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// What a worker is told on its command line.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) script: String,
    pub(crate) aim: Option<Aim>,
}

impl Job {
    pub(crate) fn to_args(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.display().to_string();
        let mut args = vec!["worker".to_owned(), path(&self.dir), path(&self.log), self.script.clone()];
        args.extend(self.aim.iter().map(Aim::to_arg));
        args
    }

    pub(crate) fn from_args(args: &[String]) -> Self {
        Self {
            dir: PathBuf::from(&args[0]),
            log: PathBuf::from(&args[1]),
            script: args[2].clone(),
            aim: args.get(3).map(|text| Aim::from_arg(text)),
        }
    }
}

pub(crate) fn main(args: &[String]) -> ExitCode {
    let job = Job::from_args(args);
    let (ended, end) = mpsc::channel();
    // Not the main thread: its system calls before this are none of the store's.
    let acting = thread::spawn(move || {
        let worker = Worker::new(job);
        worker.run();
        _ = ended.send(());
    });
    if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
        eprintln!("it hangs");
        return ExitCode::from(4);
    }
    if acting.join().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

/// Goes on by being read: a store that looks at the time makes the same calls however slow the machine is.
#[derive(Debug)]
struct Counting(Mutex<SystemTime>);

impl Clock for Counting {
    fn now(&self) -> SystemTime {
        let mut now = self.0.lock().unwrap();
        *now += Duration::from_micros(1);
        *now
    }
}

struct Worker {
    job: Job,
    script: Script,
    log: File,
    model: Model,
    runtime: Arc<Runtime>,
    burner: Arc<Burner>,
    clock: Arc<Counting>,
    /// The version of what was put beside the script.
    extra: u64,
}

impl Worker {
    fn new(job: Job) -> Self {
        let script = Script::named(&job.script);
        let log = File::options().append(true).create(true).open(&job.log).unwrap();
        let mut builder = Builder::new_current_thread();
        builder.max_blocking_threads(1);
        let burner = Arc::new(Burner::new());
        if let Some(aim) = job.aim.clone() {
            burner.burn(&aim.call, aim.burn(Role::Acting));
            let burner = Arc::clone(&burner);
            builder.on_thread_start(move || burner.burn(&aim.call, aim.burn(Role::Blocking)));
        }
        let runtime = Arc::new(builder.build().unwrap());
        let model = Model::new(&script);
        let clock = Arc::new(Counting(Mutex::new(SystemClock.now())));
        Self { job, script, log, model, runtime, burner, clock, extra: 1_000_000 }
    }

    fn say(&mut self, line: &str) {
        self.log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn wrong(&mut self, number: u64, what: &str) {
        self.say(&format!("w {number} {what}"));
    }

    fn run(mut self) {
        let runtime = Arc::clone(&self.runtime);
        runtime.block_on(self.steps());
    }

    async fn steps(&mut self) {
        let mut store = None;
        for (number, step) in self.script.steps.clone().into_iter().enumerate() {
            let number = number as u64;
            if let Step::Damage(key) = step {
                // Not counted among the store's calls.
                mark(OUTSIDE);
                damage(&self.job.dir, key);
            }
            mark(number);
            self.say(&format!("b {number}"));
            let answer = if step == Step::Open {
                self.reopen(&mut store).await.map(|()| Answer::Nothing)
            } else {
                self.on(&store, number, &step).await
            };
            idle().await;
            self.told(number, &step, answer, true);
            if self.job.aim.as_ref().is_some_and(|aim| aim.step == number && aim.error.is_some()) {
                self.recover(&mut store, number, &step).await;
            }
        }
        mark(CLOSING);
        if let Some(store) = store
            && let Err(error) = store.close(None).await
            && !self.is_hit(CLOSING)
        {
            self.wrong(CLOSING, &format!("close: {error}"));
        }
        self.say("end");
    }

    async fn reopen(&self, store: &mut Option<DiskStore>) -> Result<(), Error> {
        if let Some(open) = store.take() {
            open.close(None).await?;
        }
        let options = DiskOptions::new(&self.job.dir).with_max_bytes(self.script.budget);
        *store = Some(DiskStore::open_with_clock(options, self.clock.clone()).await?);
        Ok(())
    }

    async fn on(&mut self, store: &Option<DiskStore>, number: u64, step: &Step) -> Result<Answer, Error> {
        let Some(store) = store else { return Err(Error::invalid("the store is not open")) };
        perform(store, number, step, &self.model).await
    }

    /// Takes note of an answer. Answers whether it was none or an error.
    fn told(&mut self, number: u64, step: &Step, answer: Result<Answer, Error>, log: bool) -> bool {
        let failed = answer.is_err();
        match answer {
            Ok(answer) => {
                let known = known(&answer);
                self.model.step(number, step, known);
                if let Err(what) = judge(&mut self.model, step, &answer) {
                    self.wrong(number, &what);
                }
                let syncs = self.job.aim.as_ref().is_some_and(|aim| is_sync(&aim.call));
                if *step == Step::Flush && syncs && self.is_hit(number) {
                    self.wrong(number, "a flush succeeds although its sync failed");
                }
                if log {
                    self.say(&format!("{} {number}", if known == Known::Refused { "r" } else { "d" }));
                }
            }
            Err(error) => {
                let damaged = |key: u32| self.model.is_damaged(key, Past::Kill);
                let may_be_damage =
                    matches!(step, Step::Get { key, .. } | Step::GetEntry(key) if damaged(*key));
                let is_miss = may_be_damage && error.kind() == ErrorKind::Corrupt;
                self.model.step(number, step, Known::Perhaps);
                let is_right = is_miss || (self.is_hit(number) && blames_what_is_below(&error));
                if !is_right {
                    let mut text = format!("{step:?}: {error}");
                    let mut source = std::error::Error::source(&error);
                    while let Some(cause) = source {
                        _ = write!(text, ": {cause}");
                        source = cause.source();
                    }
                    self.wrong(number, &text);
                }
                if log {
                    self.say(&format!("e {number}"));
                }
            }
        }
        failed
    }

    /// Whether a system call was made to fail in this step.
    fn is_hit(&self, number: u64) -> bool {
        self.job.aim.as_ref().is_some_and(|aim| aim.step == number && aim.error.is_some())
    }

    /// After the step in which a call failed: from now on everything has to work again.
    async fn recover(&mut self, store: &mut Option<DiskStore>, number: u64, step: &Step) {
        let aim = self.job.aim.take().unwrap();
        mark(OUTSIDE);
        match aim.role {
            Role::Acting => self.burner.burn(&aim.call, aim.rest()),
            Role::Blocking => {
                let (burner, call, rest) = (Arc::clone(&self.burner), aim.call.clone(), aim.rest());
                tokio::task::spawn_blocking(move || burner.burn(&call, rest)).await.unwrap();
            }
        }
        if store.is_none() {
            let opened = self.reopen(store).await.map(|()| Answer::Nothing);
            self.told(number, step, opened, false);
        }
        match step {
            Step::Put { key, .. } | Step::Evict(key) => {
                for read in [Step::GetEntry(*key), Step::Contains(*key)] {
                    self.again(store, number, &read).await;
                }
            }
            Step::Flush if is_sync(&aim.call) => self.after_failed_sync(store, number).await,
            Step::Flush | Step::CleanScratch | Step::CleanTo(_) => _ = self.again(store, number, step).await,
            Step::Open => {}
            read => _ = self.again(store, number, read).await,
        }
        if is_sync(&aim.call) && *step != Step::Flush {
            self.rewrite(store, number).await;
        }
    }

    async fn again(&mut self, store: &Option<DiskStore>, number: u64, step: &Step) {
        let answer = self.on(store, number, step).await;
        self.told(number, step, answer, false);
    }

    /// What a failed sync lost stays lost, whatever the next sync says, until it is put again.
    async fn after_failed_sync(&mut self, store: &Option<DiskStore>, number: u64) {
        if !self.model.dirty().is_empty() {
            for _ in 0..2 {
                let open = store.as_ref().unwrap();
                if open.flush().await.is_ok() {
                    self.wrong(number, "a flush after a failed one succeeds, and nothing was put again");
                }
            }
        }
        self.rewrite(store, number).await;
        self.again(store, number, &Step::Flush).await;
    }

    async fn rewrite(&mut self, store: &Option<DiskStore>, number: u64) {
        for key in self.model.dirty() {
            let blobs = vec![("data", 700)];
            let put = Step::Put { key, mode: PutMode::Replace, blobs: blobs.clone(), streamed: false };
            self.extra += 1;
            self.say(&format!("x {number} {key} {}", self.extra));
            let answer = self.on(store, self.extra, &put).await;
            self.told(self.extra, &put, answer, false);
        }
    }
}

/// A call that shows up in the trace, and does nothing.
fn mark(number: u64) {
    _ = File::open(format!("/@step/{number}"));
}

/// Waits until what the store does by itself is done.
async fn idle() {
    for _ in 0..3 {
        tokio::task::spawn_blocking(|| {}).await.unwrap();
        tokio::task::yield_now().await;
    }
}
