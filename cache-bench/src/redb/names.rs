use std::{sync::Arc, time::Instant};

use cache_core::{Cache, Digest, DigestPrefix, ListOptions};
use fastrand::Rng;
use futures::TryStreamExt;
use redb::Durability;
use tokio::runtime::Runtime;

use crate::{
    failure::Result,
    harness::{
        bench::Bench,
        ground::Site,
        measurement::Measurement,
        rounds::{Contender, Kind, interleave},
        scale::Scale,
        slices::{by_slices, median},
    },
    subject::{
        databases::{
            lineup::{DISK, OURS, RAW},
            ours,
            raw::RawRedb,
        },
        files::{self, Flushes, puts::fill, service},
    },
    workload::keys::{any_of, digest, digests, value_of},
};

pub(crate) const BENCH: Bench = Bench {
    name: "names",
    title: "Questions about names",
    setting: "100,000 entries with values of 1 KiB, written and flushed before. A round has 4,000 digests: each is looked for by its first 8 digits (`expand`), and asked for \
              (`contains`), and so are 4,000 that are not there, all by one task in slices of 1,000; and all entries are listed whose digests begin with each of 10 pairs of digits, about 390 \
              each. Raw redb: a new transaction each time, and the values lie in the table that is asked.",
    run,
};

const VALUE_BYTES: usize = 1024;
const ROUNDS: usize = 7;

/// What is there, and what is not.
type Asked = (Vec<Digest>, Vec<Digest>);

fn run(scale: &Scale) -> Result<Vec<Measurement>> {
    let site = scale.ground()?.fresh()?;
    let digests = digests(scale.pick(100_000, 500), 1);
    let runtime = service()?;
    let mut contenders = Vec::new();
    for (name, cache) in stores(&site, &runtime)? {
        runtime.block_on(filled(&cache, digests.clone()))?;
        let runtime = Arc::clone(&runtime);
        let run = move |(there, absent): &Asked| runtime.block_on(ask(&cache, there, absent));
        contenders.push(Contender::new(name, Kind::Ours, run));
    }
    contenders.push(raw(&site, &digests)?);
    #[cfg(feature = "rivals")]
    contenders.push(fjall::contender(&site, &runtime, &digests)?);
    let mut rng = Rng::with_seed(2);
    let count = scale.pick(4000, 20);
    let input = || {
        let there = any_of(&digests, count, &mut rng);
        let absent = (0..count).map(|_| digest(&mut rng)).collect();
        (there, absent)
    };
    let runs = interleave(&scale.at_most(ROUNDS), input, &mut contenders)?;
    let titles =
        ["expand of 8 digits", "contains, there", "contains, absent", "list by 2 digits, each entry"];
    let measured = |(metric, title)| Measurement::of(title, "µs", &runs, metric);
    Ok(titles.into_iter().enumerate().map(measured).collect())
}

/// What applications hold, over each of our stores.
fn stores(site: &Site, runtime: &Runtime) -> Result<Vec<(&'static str, Cache)>> {
    let _entered = runtime.enter();
    Ok(vec![(OURS, ours::cache(&site.subdir(OURS)?)?), (DISK, files::ours::cache(&site.subdir(DISK)?)?)])
}

async fn filled<S: Flushes + Clone>(subject: &S, digests: Vec<Digest>) -> Result<()> {
    fill(Arc::new(subject.clone()), digests, VALUE_BYTES).await?;
    if subject.flush().await { Ok(()) } else { Err("what was put is not durable".into()) }
}

/// Prefixes that many entries have.
fn pairs(there: &[Digest]) -> Vec<DigestPrefix> {
    there.iter().take(10).map(|digest| digest.prefix(2)).collect()
}

/// Answers the microseconds of each question.
async fn ask(cache: &Cache, there: &[Digest], absent: &[Digest]) -> Result<Vec<f64>> {
    let mut right = 0;
    let expanded = by_slices(there, async |slice| {
        for digest in slice {
            right += usize::from(cache.expand(digest.prefix(8)).await.is_ok_and(|found| found == *digest));
        }
    });
    let expanded = median(&expanded.await);
    let mut contained = [0.0; 2];
    for (figure, (digests, expected)) in contained.iter_mut().zip([(there, true), (absent, false)]) {
        let times = by_slices(digests, async |slice| {
            for digest in slice {
                right += usize::from(cache.contains(*digest).await.is_ok_and(|found| found == expected));
            }
        });
        *figure = median(&times.await);
    }
    if right < 2 * there.len() + absent.len() {
        return Err("an answer was wrong".into());
    }
    let mut listed = 0;
    let begun = Instant::now();
    for prefix in pairs(there) {
        let mut entries = cache.list(ListOptions::default().with_prefix(prefix))?;
        while entries.try_next().await?.is_some() {
            listed += 1;
        }
    }
    let list = begun.elapsed().as_secs_f64() * 1e9 / f64::from(listed);
    let [there, absent] = contained;
    Ok([expanded, there, absent, list].map(|nanos| nanos / 1e3).to_vec())
}

/// The same of the bare database.
fn raw(site: &Site, digests: &[Digest]) -> Result<Contender<Asked>> {
    let raw = RawRedb::open(&site.subdir(RAW)?)?;
    for batch in digests.chunks(1024) {
        let values: Vec<_> = batch.iter().map(|digest| (*digest, value_of(digest, VALUE_BYTES))).collect();
        raw.insert_all(&values, Durability::Immediate)?;
    }
    let run = move |(there, absent): &Asked| {
        let questions = Questions {
            expand: |prefix: DigestPrefix| Ok(raw.names(&prefix, 2)?.len() == 1),
            contains: |digest: &Digest| raw.contains(digest),
            list: |prefix: DigestPrefix| Ok(raw.names(&prefix, usize::MAX)?.len()),
        };
        questions.ask(there, absent)
    };
    Ok(Contender::new(RAW, Kind::Baseline, run))
}

/// How one that is no store of ours answers.
struct Questions<E, C, L> {
    expand: E,
    contains: C,
    list: L,
}

impl<E, C, L> Questions<E, C, L>
where
    E: Fn(DigestPrefix) -> Result<bool>,
    C: Fn(&Digest) -> Result<bool>,
    L: Fn(DigestPrefix) -> Result<usize>,
{
    fn ask(&self, there: &[Digest], absent: &[Digest]) -> Result<Vec<f64>> {
        let mut right = 0;
        let mut timed = |digests: &[Digest], question: &dyn Fn(&Digest) -> Result<bool>| {
            let times = by_slices(digests, async |slice| {
                for digest in slice {
                    right += usize::from(question(digest).unwrap_or(false));
                }
            });
            median(&futures::executor::block_on(times))
        };
        let expanded = timed(there, &|digest| (self.expand)(digest.prefix(8)));
        let contained = timed(there, &|digest| (self.contains)(digest));
        let missed = timed(absent, &|digest| Ok(!(self.contains)(digest)?));
        if right < 2 * there.len() + absent.len() {
            return Err("an answer was wrong".into());
        }
        let mut listed = 0;
        let begun = Instant::now();
        for prefix in pairs(there) {
            listed += (self.list)(prefix)?;
        }
        let list = begun.elapsed().as_secs_f64() * 1e9 / listed as f64;
        Ok([expanded, contained, missed, list].map(|nanos| nanos / 1e3).to_vec())
    }
}

#[cfg(feature = "rivals")]
mod fjall {
    use super::{Asked, Contender, Digest, DigestPrefix, Kind, Questions, Result, Runtime, Site, filled};
    use crate::subject::databases::{fjall::Fjall, lineup::FJALL};

    pub(super) fn contender(site: &Site, runtime: &Runtime, digests: &[Digest]) -> Result<Contender<Asked>> {
        let fjall = Fjall::open(&site.subdir(FJALL)?)?;
        runtime.block_on(filled(&fjall, digests.to_vec()))?;
        let run = move |(there, absent): &Asked| {
            let names = |prefix: DigestPrefix, most: usize| -> Result<usize> {
                let (first, last) = (prefix.first(), prefix.last());
                let range = fjall.values.range(*first.as_bytes()..=*last.as_bytes());
                let mut names = Vec::new();
                for found in range.take(most) {
                    names.push(found.key()?);
                }
                Ok(names.len())
            };
            let questions = Questions {
                expand: |prefix: DigestPrefix| Ok(names(prefix, 2)? == 1),
                contains: |digest: &Digest| Ok(fjall.values.contains_key(digest.as_bytes())?),
                list: |prefix: DigestPrefix| names(prefix, usize::MAX),
            };
            questions.ask(there, absent)
        };
        Ok(Contender::new(FJALL, Kind::Rival, run))
    }
}
