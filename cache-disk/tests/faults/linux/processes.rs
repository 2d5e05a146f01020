//! Several processes on one directory, some of which are killed at any time.

use std::{
    io,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use cache_core::KeyManagement;
use cache_core::{ListOptions, Namespace, Store};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;
use libtest_mimic::{Completion, Failed};

use super::{
    ground::Ground,
    kept::{check_own, own_put},
    member::{LARGEST, Place, SHARED, logs, read, to_args},
    tree,
    verdict::{Tally, Verdict},
};

const MEMBERS: u32 = 8;
const BUDGET: u64 = 4 << 20;

/// How often one of them is killed.
const PAUSE: Duration = Duration::from_millis(250);

struct Members {
    place: Place,
    children: Vec<Child>,
    started: u64,
}

impl Members {
    fn start(&mut self, slot: u32) -> io::Result<Child> {
        self.started += 1;
        let member = Command::new(std::env::current_exe()?)
            .args(to_args(&self.place, slot, self.started))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(member)
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for member in &mut self.children {
            _ = member.kill();
            _ = member.wait();
        }
    }
}

/// The most that was held at any time.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    entries: u64,
    temporary: u64,
}

impl Most {
    fn measure(&mut self, place: &Place) {
        let (entries, temporary) = tree::held(&place.shared());
        self.entries = self.entries.max(entries);
        self.temporary = self.temporary.max(temporary);
    }
}

pub(crate) fn eight_processes_share_one_directory(seconds: u64) -> Result<Completion, Failed> {
    let ground = Ground::new();
    let dir = tempfile::tempdir_in(ground.path())?;
    let place = Place { at: dir.path().to_owned(), budget: BUDGET };
    let mut members = Members { place: place.clone(), children: Vec::new(), started: 0 };
    for slot in 0..MEMBERS {
        let member = members.start(slot)?;
        members.children.push(member);
    }
    let (begun, mut killed, mut most) = (Instant::now(), 0, Most::default());
    let mut verdict = Verdict::default();
    let long_enough = Duration::from_secs(seconds);
    // A slow machine takes its time until there is something to look at.
    while begun.elapsed() < long_enough || (begun.elapsed() < long_enough * 10 && !have_worked(&place, most))
    {
        let pause = Instant::now();
        while pause.elapsed() < PAUSE {
            most.measure(&place);
            sleep(Duration::from_millis(20));
        }
        let slot = fastrand::usize(..members.children.len());
        let ended = members.children[slot].try_wait()?;
        if let Some(status) = ended {
            verdict.broken.push(format!("member {slot} has ended by itself: {status}"));
        }
        members.children[slot].kill()?;
        members.children[slot].wait()?;
        killed += 1;
        if !verdict.broken.is_empty() {
            break;
        }
        let again = members.start(u32::try_from(slot).unwrap())?;
        members.children[slot] = again;
    }
    // Half of them end in peace.
    for member in members.children.iter_mut().skip(4) {
        member.kill()?;
        member.wait()?;
    }
    std::fs::write(place.stop(), "")?;
    for member in members.children.iter_mut().take(4) {
        member.wait()?;
    }
    drop(members);
    let operations = look(&place, &mut verdict)?;
    // Beside what is published, every member may have one entry that it has just published and not evicted for.
    let limit = BUDGET + BUDGET / 10 + u64::from(MEMBERS) * LARGEST as u64;
    if most.entries > limit {
        verdict.broken.push(format!("{} bytes were held, and {limit} may be", most.entries));
    }
    let percent = |bytes: u64| bytes as f64 * 100.0 / BUDGET as f64;
    let detail = format!(
        "{} s, {operations} operations, {killed} kills, at most {:.1} % of the budget in entries, {:.1} % in \
         temporaries, ",
        begun.elapsed().as_secs(),
        percent(most.entries),
        percent(most.temporary)
    );
    let mut tally = Tally::default();
    tally.count("8 processes", &verdict);
    tally.tried(usize::try_from(operations).unwrap());
    tally.report("8 processes on one directory", &detail)
}

/// Whether each has put something of its own, and all together what makes the budget tight.
fn have_worked(place: &Place, most: Most) -> bool {
    most.entries > BUDGET / 2 && logs(place, MEMBERS).iter().all(|log| !own_put(log).is_empty())
}

/// Looks at what they left. Answers how many operations they did.
fn look(place: &Place, verdict: &mut Verdict) -> Result<u64, Failed> {
    let logs = logs(place, MEMBERS);
    let mut operations = 0;
    for line in logs.iter().flat_map(|log| log.lines()) {
        if line == "n 10" {
            operations += 10;
        } else if let Some(what) = line.strip_prefix("w ") {
            sort(verdict, what);
        }
    }
    if logs.iter().any(|log| own_put(log).is_empty()) {
        verdict.broken.push("a member has put nothing of its own: too slow a machine".into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let looked: Result<(), String> = runtime.block_on(async {
        let line = |error: cache_core::Error| error.to_line();
        let kept = DiskStore::open(DiskOptions::new(place.kept())).await.map_err(line)?;
        for log in &logs {
            check_own(&kept, log).await?;
        }
        kept.close(None).await.map_err(line)?;
        let options = DiskOptions::new(place.shared()).with_max_bytes(place.budget);
        let shared = DiskStore::open(options).await.map_err(line)?;
        shared.flush().await.map_err(line)?;
        let held = shared.usage(&Namespace::root()).await.map_err(line)?.bytes;
        if held > place.budget {
            return Err(format!("{held} bytes are held after a flush"));
        }
        for number in 0..SHARED {
            read(&shared, number).await?;
        }
        let listed: Vec<_> =
            shared.list(ListOptions::below(&Namespace::root())).try_collect().await.map_err(line)?;
        if listed.is_empty() || held < place.budget / 4 {
            return Err(format!("lost: {} entries with {held} bytes are all that is left", listed.len()));
        }
        shared.close(None).await.map_err(line)?;
        Ok(())
    });
    if let Err(what) = looked {
        sort(verdict, &what);
    }
    drop(runtime);
    for store in [place.shared(), place.kept()] {
        verdict.leaked.extend(tree::leaked(&store));
    }
    Ok(operations)
}

fn sort(verdict: &mut Verdict, what: &str) {
    let list = match what.split_once(':') {
        Some(("lost", _)) => &mut verdict.lost,
        Some(("torn", _)) => &mut verdict.torn,
        _ => &mut verdict.broken,
    };
    list.push(what.to_owned());
}
