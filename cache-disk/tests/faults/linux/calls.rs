//! A process that is killed at a system call, or in which one fails.

use std::{collections::BTreeMap, fs, io, path::Path};

use libtest_mimic::{Completion, Failed};
use tempfile::TempDir;

use super::{
    after::{look, told},
    ground::Ground,
    inject::{Aim, OUTSIDE, Point, Trace, cannot_trace, is_sync, run, trace},
    model::Past,
    script::Script,
    tree,
    verdict::{Verdict, spread, try_all},
    worker::Job,
};

const ERRORS: [&str; 6] = ["ENOSPC", "EIO", "EMFILE", "EROFS", "EACCES", "EDQUOT"];

/// A script, and where it can be hit.
struct Ready {
    script: Script,
    trace: Trace,
}

fn ready(ground: &Ground, name: &str) -> io::Result<Ready> {
    let script = Script::named(name);
    let place = Place::new(ground)?;
    let output = run(&place.job(name, None), &place.trace())?;
    let (model, mut verdict) = told(&script, &place.told()?, usize::MAX);
    verdict.add(look(&place.store(), &script, &model, Past::Kill));
    if !output.status.success() || !verdict.is_clean() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{name} fails by itself: {} {text}\n{verdict}", output.status)));
    }
    Ok(Ready { script, trace: trace(&place.trace()) })
}

/// Where one worker works.
struct Place(TempDir);

impl Place {
    fn new(ground: &Ground) -> io::Result<Self> {
        let place = Self(tempfile::tempdir_in(ground.path())?);
        fs::create_dir(place.store())?;
        tree::plant_dead_temporaries(&place.store());
        Ok(place)
    }

    fn store(&self) -> std::path::PathBuf {
        self.0.path().join("store")
    }

    fn trace(&self) -> std::path::PathBuf {
        self.0.path().join("trace")
    }

    fn log(&self) -> std::path::PathBuf {
        self.0.path().join("log")
    }

    fn told(&self) -> io::Result<String> {
        fs::read_to_string(self.log())
    }

    fn job(&self, script: &str, aim: Option<Aim>) -> Job {
        Job { dir: self.store(), log: self.log(), script: script.to_owned(), aim }
    }
}

/// Tries one point.
fn try_aim(ground: &Ground, script: &Script, aim: &Aim) -> io::Result<Verdict> {
    let place = Place::new(ground)?;
    let output = run(&place.job(&script.name, Some(aim.clone())), &place.trace())?;
    let (model, mut verdict) = told(script, &place.told().unwrap_or_default(), usize::MAX);
    verdict.missed = !was_hit(&place.trace(), &output.status)?;
    // A worker that is killed tells nothing; one that ends by itself tells that it came to its end.
    if !output.status.success() && !was_killed(&output.status) {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        verdict.broken.push(format!("the worker ends with {}: {}", output.status, text.trim()));
    } else if was_killed(&output.status) && aim.error.is_some() {
        verdict.broken.push(format!("the worker is killed: {}", output.status));
    }
    verdict.add(look(&place.store(), script, &model, Past::Kill));
    Ok(verdict)
}

/// Whether the call that was aimed at was made.
fn was_hit(trace: &Path, status: &std::process::ExitStatus) -> io::Result<bool> {
    Ok(was_killed(status) || fs::read_to_string(trace)?.contains("(INJECTED)"))
}

fn was_killed(status: &std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9) || status.code() == Some(128 + 9)
}

fn replay(script: &Script, aim: &Aim) -> String {
    format!(
        "{} step {} {:?}; again: cargo test -p cache-disk --test faults -- again {} {}",
        script.name,
        aim.step,
        script.steps.get(usize::try_from(aim.step).unwrap()),
        script.name,
        aim.to_arg()
    )
}

/// Tries one point again, as the command line tells.
pub(crate) fn again(args: &[String]) -> io::Result<bool> {
    let script = Script::named(&args[0]);
    let verdict = try_aim(&Ground::new(), &script, &Aim::from_arg(&args[1]))?;
    println!("{}", replay(&script, &Aim::from_arg(&args[1])));
    println!("{}", if verdict.is_clean() { "  nothing wrong".to_owned() } else { verdict.to_string() });
    Ok(verdict.is_clean())
}

/// Kills a process at system calls that are spread evenly over all that it makes.
pub(crate) fn a_process_killed_at_any_call_loses_nothing(count: usize) -> Result<Completion, Failed> {
    if let Some(reason) = cannot_trace() {
        return Ok(Completion::ignored_with(reason));
    }
    let ground = Ground::new();
    let (mut aims, mut seed) = (Vec::new(), 0_u64);
    // Where the two scripts have no more points, random ones have.
    while aims.len() < count {
        let name = match seed {
            0 => "plain".to_owned(),
            1 => "bounded".to_owned(),
            seed => format!("random-{seed}"),
        };
        let ready = ready(&ground, &name)?;
        let found: Vec<Aim> =
            ready.trace.points.iter().filter_map(|point| ready.trace.aim(point, None, false)).collect();
        // Reads and looks change nothing: a kill there is one at the next call that does.
        let (changing, other): (Vec<Aim>, Vec<Aim>) = found.into_iter().partition(|aim| changes(&aim.call));
        let share = if seed < 2 { count / 2 } else { count - aims.len() };
        let chosen = spread(changing, share * 4 / 5).into_iter().chain(spread(other, share / 5 + 1));
        aims.extend(chosen.map(|aim| (ready.script.clone(), aim)));
        seed += 1;
    }
    let aims = spread(aims, count);
    let tally =
        try_all(&aims, |(script, aim)| replay(script, aim), |(script, aim)| try_aim(&ground, script, aim))?;
    tally.report("kill points", &format!("{seed} scripts, "))
}

fn changes(call: &str) -> bool {
    !matches!(
        call,
        "openat2"
            | "read"
            | "pread64"
            | "preadv2"
            | "fstat"
            | "newfstatat"
            | "statx"
            | "getdents64"
            | "lseek"
            | "fcntl"
    )
}

/// Of each call in each step the first one, and the last if it changes anything: a step may read hundreds
/// of files alike.
fn first_and_last(points: Vec<&Point>) -> Vec<&Point> {
    let mut ends: BTreeMap<_, (&Point, &Point)> = BTreeMap::new();
    for point in points {
        ends.entry((point.step, point.role, &point.call)).or_insert((point, point)).1 = point;
    }
    let mut chosen = Vec::new();
    for (first, last) in ends.into_values() {
        chosen.push(first);
        if first != last && changes(&first.call) {
            chosen.push(last);
        }
    }
    chosen
}

/// Lets each system call of each operation fail, once and for good, in every way.
pub(crate) fn a_call_that_fails_harms_nothing(long: bool) -> Result<Completion, Failed> {
    if let Some(reason) = cannot_trace() {
        return Ok(Completion::ignored_with(reason));
    }
    let ground = Ground::new();
    let mut aims = Vec::new();
    let names: &[&str] =
        if long { &["plain", "bounded", "random-5", "random-6"] } else { &["plain", "bounded"] };
    let (mut calls, mut missed) = (0, std::collections::BTreeSet::new());
    for name in names {
        let ready = ready(&ground, name)?;
        let kinds = ready.script.first_of_each_kind();
        let points: Vec<_> = ready.trace.points.iter().filter(|point| point.step != OUTSIDE).collect();
        let points = if *name == "bounded" { first_and_last(points) } else { points };
        let points = if long || *name == "plain" { points } else { spread(points, 150) };
        for (at, point) in points.into_iter().enumerate() {
            calls += 1;
            for (turn, error) in ERRORS.iter().enumerate() {
                for persists in [false, true] {
                    // In the short run each call of each kind of operation fails in every way, once or for
                    // good; where an operation comes again the errors take turns.
                    let every = is_sync(&point.call)
                        || (turn < ERRORS.len() - 1 && *name == "plain" && kinds.contains(&point.step));
                    let now =
                        (every || (at + turn) % ERRORS.len() == 0) && persists == ((at + turn) % 2 == 0);
                    if !long && !now {
                        continue;
                    }
                    match ready.trace.aim(point, Some(error), persists) {
                        Some(aim) => aims.push((ready.script.clone(), aim)),
                        None => _ = missed.insert(point.call.clone()),
                    }
                }
            }
        }
    }
    let tally =
        try_all(&aims, |(script, aim)| replay(script, aim), |(script, aim)| try_aim(&ground, script, aim))?;
    let missed = if missed.is_empty() { String::new() } else { format!(", not aimed at: {missed:?}") };
    tally.report("failing calls", &format!("{calls} calls of {} scripts{missed}, ", names.len()))
}
