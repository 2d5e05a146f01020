//! One of several processes that use one directory until they are told to end, or killed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use cache_core::{
    CleanPolicy, Error, GetOptions, KeyManagement, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
    Store,
};
use cache_disk::{DiskOptions, DiskStore};
use futures::TryStreamExt;
use tokio::time::timeout;

use super::{
    kept::check_own,
    perform::{entry, state},
    script::{key, scratch},
};

/// No operation takes longer, however busy the machine.
const LIMIT: Duration = Duration::from_secs(40);

/// Entries that everybody puts, gets and evicts, in a store with a budget.
pub(crate) const SHARED: u32 = 3000;
/// From here on entries are merged; those before are replaced as a whole.
const MERGED: u32 = 2500;
/// So many of either are asked for as often as all others together.
const HOT: u32 = 6;
/// The largest entry.
pub(crate) const LARGEST: usize = 16_000;
/// Entries that one member alone puts, in a store without a budget; others read them.
const OWN: u32 = 10;

/// Where members work, and what about.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) at: PathBuf,
    pub(crate) budget: u64,
}

impl Place {
    pub(crate) fn shared(&self) -> PathBuf {
        self.at.join("shared")
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.at.join("kept")
    }

    /// There once members have to end.
    pub(crate) fn stop(&self) -> PathBuf {
        self.at.join("stop")
    }

    pub(crate) fn log(&self, slot: u32) -> PathBuf {
        self.at.join(format!("log-{slot}"))
    }
}

pub(crate) fn to_args(place: &Place, slot: u32, seed: u64) -> Vec<String> {
    let at = place.at.display().to_string();
    vec!["member".into(), at, place.budget.to_string(), slot.to_string(), seed.to_string()]
}

pub(crate) fn main(args: &[String]) -> ExitCode {
    let number = |at: usize| args[at].parse::<u64>().unwrap();
    let place = Place { at: PathBuf::from(&args[0]), budget: number(1) };
    let slot = u32::try_from(number(2)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut log = File::options().append(true).create(true).open(place.log(slot)).unwrap();
    let work = async {
        let mut member = Member::join(place, slot, number(3), log.try_clone().unwrap()).await?;
        member.work().await
    };
    if let Err(what) = runtime.block_on(work) {
        _ = log.write_all(format!("w {what}\n").as_bytes());
    }
    ExitCode::SUCCESS
}

/// Reads an entry, all of whose blobs have to be those of one put if it is not one that is merged.
pub(crate) async fn read(store: &DiskStore, number: u32) -> Result<Option<BTreeMap<String, u64>>, String> {
    let failed = |error: Error| format!("get_entry of key {number}: {}", error.to_line());
    let Some(found) = store.get_entry(&key(number), GetOptions::default()).await.map_err(failed)? else {
        return Ok(None);
    };
    let blobs = state(number, found).await.map_err(failed)?.map_err(|wrong| format!("torn: {wrong}"))?;
    if !(MERGED..SHARED).contains(&number) {
        let is_of_one =
            |put: &u64| blobs.values().all(|version| version == put) && blobs.len() == count_of(*put);
        if !blobs.get("data").is_some_and(is_of_one) {
            return Err(format!("torn: key {number} has not the blobs of one put: {blobs:?}"));
        }
    }
    Ok(Some(blobs))
}

/// How many blobs are put in a version: that is its last bit.
fn count_of(version: u64) -> usize {
    if version & 1 == 0 { 1 } else { 2 }
}

fn failed(what: &'static str) -> impl Fn(Error) -> String {
    move |error| format!("{what}: {}", error.to_line())
}

struct Member {
    place: Place,
    slot: u32,
    shared: DiskStore,
    kept: DiskStore,
    random: fastrand::Rng,
    log: File,
    /// No two puts have the same, whoever makes them, and those of one key go up.
    version: u64,
    /// What was seen of others' own entries.
    seen: BTreeMap<u32, u64>,
}

impl Member {
    async fn join(place: Place, slot: u32, seed: u64, log: File) -> Result<Self, String> {
        let options = DiskOptions::new(place.shared()).with_max_bytes(place.budget);
        let shared = DiskStore::open(options).await.map_err(failed("open"))?;
        let kept = DiskStore::open(DiskOptions::new(place.kept())).await.map_err(failed("open"))?;
        let told = fs::read_to_string(place.log(slot)).unwrap_or_default();
        check_own(&kept, &told).await?;
        let (random, version) = (fastrand::Rng::with_seed(seed), seed << 32);
        Ok(Self { place, slot, shared, kept, random, log, version, seen: BTreeMap::new() })
    }

    async fn work(&mut self) -> Result<(), String> {
        let mut done = 0_u64;
        while !self.place.stop().exists() {
            match timeout(LIMIT, self.one()).await {
                Ok(outcome) => outcome?,
                Err(_) => return Err("an operation hangs".into()),
            }
            done += 1;
            if done.is_multiple_of(10) {
                self.say("n 10");
            }
        }
        for store in [&self.shared, &self.kept] {
            store.flush().await.map_err(failed("the last flush"))?;
            store.close(None).await.map_err(failed("close"))?;
        }
        Ok(())
    }

    fn say(&mut self, line: &str) {
        self.log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// One random operation.
    async fn one(&mut self) -> Result<(), String> {
        let any = self.random.u32(..SHARED);
        let hot = [any % HOT, MERGED + any % HOT][self.random.usize(..2)];
        let number = if self.random.bool() { hot } else { any };
        let shared = self.shared.clone();
        match self.random.u8(..100) {
            0..38 => {
                let mode = if (MERGED..SHARED).contains(&number) { PutMode::Merge } else { PutMode::Replace };
                let two = self.random.bool();
                let most = if self.random.u8(..4) == 0 { LARGEST - 200 } else { 4000 };
                let entry = self.entry(number, most, two);
                shared.put(&key(number), entry, PutOptions::mode(mode)).await.map_err(failed("put"))?;
            }
            38..60 => _ = read(&shared, number).await?,
            60..65 => shared.evict(&key(number)).await.map_err(failed("evict"))?,
            65 if self.random.bool() => {
                // It is the budget that has to keep the store small.
                let policy = CleanPolicy::default().with_max_bytes(self.place.budget);
                shared.clean(&scratch(), &policy).await.map_err(failed("clean"))?;
            }
            65 | 66 => _ = shared.flush().await.map_err(failed("flush"))?,
            67 => {
                let listed = shared.list(ListOptions::below(&Namespace::root()));
                _ = listed.try_collect::<Vec<_>>().await.map_err(failed("list"))?;
            }
            68..83 => self.put_own().await?,
            83..99 => self.read_own().await?,
            _ => _ = self.kept.flush().await.map_err(failed("flush"))?,
        }
        Ok(())
    }

    /// An entry of a new version.
    fn entry(&mut self, number: u32, most: usize, two: bool) -> PutEntry {
        self.version = (self.version | 1) + 1 + u64::from(two);
        let blobs = [("data", self.random.usize(40..most)), ("a", 100)];
        entry(number, self.version, &blobs[..count_of(self.version)], self.random.u8(..8) == 0)
    }

    /// One of a member's own entries, most often the first one.
    fn own(&mut self, slot: u32) -> u32 {
        let number = if self.random.u8(..4) > 0 { 0 } else { self.random.u32(..OWN) };
        100_000 + slot * 1000 + number
    }

    async fn put_own(&mut self) -> Result<(), String> {
        let own = self.own(self.slot);
        let entry = self.entry(own, LARGEST, true);
        self.say(&format!("b {own} {}", self.version));
        self.kept.put(&key(own), entry, PutOptions::default()).await.map_err(failed("put"))?;
        self.say(&format!("d {own} {}", self.version));
        Ok(())
    }

    /// What was seen stays, until something newer is seen.
    async fn read_own(&mut self) -> Result<(), String> {
        let slot = self.random.u32(..8);
        let number = self.own(slot);
        let found = read(&self.kept, number).await?.and_then(|blobs| blobs.get("data").copied());
        match (found, self.seen.get(&number)) {
            (None, Some(seen)) => Err(format!("lost: key {number} was version {seen}, and is gone")),
            (Some(found), Some(seen)) if found < *seen => {
                Err(format!("torn: key {number} was version {seen}, and is {found} again"))
            }
            (found, _) => {
                self.seen.extend(found.map(|found| (number, found)));
                Ok(())
            }
        }
    }
}

/// All members' logs.
pub(crate) fn logs(place: &Place, slots: u32) -> Vec<String> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    (0..slots).map(|slot| read(&place.log(slot))).collect()
}
