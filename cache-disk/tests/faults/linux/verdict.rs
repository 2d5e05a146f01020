//! What came of many points, in one line.

use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use libtest_mimic::{Completion, Failed};

/// What is wrong after a point.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Entries that had to be there.
    pub(crate) lost: Vec<String>,
    /// Bytes or versions that nobody may see.
    pub(crate) torn: Vec<String>,
    /// Temporaries and strangers that nobody will remove.
    pub(crate) leaked: Vec<String>,
    /// Whatever else is wrong: an error of the wrong kind, a budget that is not kept, a store that does not open.
    pub(crate) broken: Vec<String>,
    /// The point was not reached.
    pub(crate) missed: bool,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        [&self.lost, &self.torn, &self.leaked, &self.broken].iter().all(|list| list.is_empty())
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.torn.extend(other.torn);
        self.leaked.extend(other.leaked);
        self.broken.extend(other.broken);
        self.missed |= other.missed;
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, list) in
            [("lost", &self.lost), ("torn", &self.torn), ("leaked", &self.leaked), ("broken", &self.broken)]
        {
            for item in list {
                writeln!(f, "  {what}: {item}")?;
            }
        }
        Ok(())
    }
}

/// What came of all points of a kind.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    tried: usize,
    lost: usize,
    torn: usize,
    leaked: usize,
    broken: usize,
    missed: usize,
    /// Each with the point and how to try it again.
    failures: Vec<String>,
}

impl Tally {
    pub(crate) fn count(&mut self, point: &str, verdict: &Verdict) {
        self.tried += 1;
        self.lost += verdict.lost.len();
        self.torn += verdict.torn.len();
        self.leaked += verdict.leaked.len();
        self.broken += verdict.broken.len();
        self.missed += usize::from(verdict.missed);
        if !verdict.is_clean() {
            self.failures.push(format!("{point}\n{verdict}"));
        }
    }

    /// Counts what was done as points.
    pub(crate) fn tried(&mut self, points: usize) {
        self.tried = points;
    }

    /// Prints the line, and fails if anything is wrong.
    pub(crate) fn report(self, what: &str, detail: &str) -> Result<Completion, Failed> {
        let Self { tried, lost, torn, leaked, broken, missed, failures } = self;
        let line = format!(
            "{what}: {tried} points tried, {lost} lost, {torn} torn, {leaked} leaked, {broken} otherwise wrong \
             ({detail}{missed} not reached)"
        );
        println!("{line}");
        if missed * 20 > tried {
            return Err(format!("{line}\ntoo many points were not reached").into());
        }
        if failures.is_empty() && tried > 0 {
            return Ok(Completion::Completed);
        }
        let shown: Vec<_> = failures.iter().take(12).map(String::as_str).collect();
        let told =
            format!("{line}\n{} points failed; the first of them:\n{}", failures.len(), shown.join("\n"));
        Err(told.into())
    }
}

/// Tries points side by side. What cannot be tried at all ends it.
pub(crate) fn try_all<P: Sync>(
    points: &[P],
    replay: impl Fn(&P) -> String + Sync,
    try_one: impl Fn(&P) -> io::Result<Verdict> + Sync,
) -> io::Result<Tally> {
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Ok(Tally::default()));
    let threads = thread::available_parallelism().map_or(2, usize::from).min(8);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = try_one(point);
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *tally, tried) {
                        (Ok(tally), Ok(verdict)) => tally.count(&replay(point), &verdict),
                        (Ok(_), Err(error)) => *tally = Err(error),
                        (Err(_), _) => return,
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// `count` of them, spread evenly; all of them if there are no more.
pub(crate) fn spread<T>(all: Vec<T>, count: usize) -> Vec<T> {
    let len = all.len();
    if len <= count {
        return all;
    }
    let chosen: std::collections::BTreeSet<usize> = (0..count).map(|n| n * len / count).collect();
    all.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, item)| item).collect()
}
