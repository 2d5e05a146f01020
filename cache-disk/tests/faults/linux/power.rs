//! The power fails: on a file system of its own, which is shut down so that nothing more is written, not
//! even its journal, and mounted again.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use libtest_mimic::{Completion, Failed};

use super::{
    after::{look, told},
    ground::Loop,
    model::Past,
    script::Script,
    tree,
    verdict::{Tally, Verdict},
    worker::Job,
};

/// A cut: which script is under way, how many of its steps are done, and whether somebody else's sync has
/// committed the journal just before.
#[derive(Debug)]
struct Cut {
    script: Script,
    after: usize,
    committed: bool,
}

impl Cut {
    fn numbered(number: u64) -> Self {
        let kinds = ["unflushed", "ending", "flushed", "limited"];
        let kind = kinds[usize::try_from(number % 4).unwrap()];
        let script = Script::named(&format!("{kind}-{number}"));
        let steps = script.steps.len();
        // Only the one that ends in a flush is let to its end.
        let after = if kind == "ending" { steps } else { fastrand::Rng::with_seed(number).usize(2..steps) };
        Self { script, after, committed: (number / 4) % 2 == 1 }
    }

    fn told(&self, number: u64, kind: &str) -> String {
        format!(
            "cut {number} on {kind}: {} after {} steps{}; again: cargo test -p cache-disk --test faults -- again \
             power {kind} {number}",
            self.script.name,
            self.after,
            if self.committed { ", journal committed by another file's fsync" } else { "" }
        )
    }
}

fn needs(kind: &str, error: &io::Error) -> Completion {
    Completion::ignored_with(format!("needs root, a loop device, mkfs.{kind} and xfs_io: {error}"))
}

fn ready(kind: &str) -> io::Result<Loop> {
    Command::new("xfs_io").arg("-V").output()?;
    let disk = Loop::new(kind, 320)?;
    // Whether this kernel can.
    disk.cut()?;
    disk.mount_again()?;
    Ok(disk)
}

pub(crate) fn a_power_cut_on_ext4_costs_nothing_flushed(count: u64) -> Result<Completion, Failed> {
    cuts("ext4", count)
}

pub(crate) fn a_power_cut_on_xfs_costs_nothing_flushed(count: u64) -> Result<Completion, Failed> {
    cuts("xfs", count)
}

/// Cuts the power so many times.
fn cuts(kind: &str, count: u64) -> Result<Completion, Failed> {
    let disk = match ready(kind) {
        Ok(disk) => disk,
        Err(error) => return Ok(needs(kind, &error)),
    };
    let mut tally = Tally::default();
    for number in 0..count {
        let cut = Cut::numbered(number);
        let verdict = try_cut(&disk, number, &cut)?;
        tally.count(&cut.told(number, kind), &verdict);
    }
    tally.report(&format!("power cuts on {kind}"), "")
}

/// Tries one cut again, as the command line tells. When exactly the power fails is another time each time.
pub(crate) fn again(kind: &str, number: &str) -> io::Result<bool> {
    let number = number.parse().unwrap();
    let cut = Cut::numbered(number);
    let disk = ready(kind)?;
    println!("{}", cut.told(number, kind));
    let mut clean = true;
    for _ in 0..20 {
        let verdict = try_cut(&disk, number, &cut)?;
        print!("{verdict}");
        clean &= verdict.is_clean();
    }
    println!("{}", if clean { "nothing wrong in 20 tries" } else { "see above" });
    Ok(clean)
}

fn try_cut(disk: &Loop, number: u64, cut: &Cut) -> io::Result<Verdict> {
    let elsewhere = tempfile::tempdir()?;
    let (dir, log) = (disk.path().join("store"), elsewhere.path().join("log"));
    let other = disk.path().join("somebody else's");
    during("making the directory", fs::create_dir(&dir))?;
    tree::plant_dead_temporaries(&dir);
    // What was there before the worker began is as old as any store's directory.
    during("syncing", File::open(disk.path()).and_then(|root| Ok(rustix::fs::syncfs(root)?)))?;
    let job = Job { dir: dir.clone(), log: log.clone(), script: cut.script.name.clone(), aim: None };
    let mut worker = Command::new(std::env::current_exe()?)
        .args(job.to_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait(&mut worker, &log, cut.after)?;
    if cut.committed {
        let written = File::create(&other).and_then(|mut file| {
            file.write_all(&number.to_le_bytes())?;
            file.sync_all()
        });
        during("committing the journal", written)?;
    }
    // Only what was told before the cut is sure to have happened before it.
    let certain = lines(&log);
    disk.cut()?;
    worker.kill()?;
    worker.wait()?;
    disk.mount_again()?;
    let (model, mut verdict) = told(&cut.script, &fs::read_to_string(&log)?, certain);
    verdict.add(look(&dir, &cut.script, &model, Past::PowerCut));
    during("removing the directory", fs::remove_dir_all(&dir))?;
    _ = fs::remove_file(&other);
    Ok(verdict)
}

/// Tells what could not be done.
fn during<T>(what: &str, outcome: io::Result<T>) -> io::Result<T> {
    outcome.map_err(|error| io::Error::other(format!("{what}: {error}")))
}

/// How many whole lines there are.
fn lines(log: &Path) -> usize {
    fs::read_to_string(log).map_or(0, |text| text.matches('\n').count())
}

/// Waits until so many steps are done, or all.
fn wait(worker: &mut Child, log: &Path, steps: usize) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let text = fs::read_to_string(log).unwrap_or_default();
        let done = text.lines().filter(|line| !line.starts_with("b ")).count();
        if done > steps || worker.try_wait()?.is_some() {
            return Ok(());
        }
        sleep(Duration::from_micros(500));
    }
    Err(io::Error::other("the worker takes too long"))
}
