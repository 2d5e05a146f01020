//! Correct stores that are built in other ways than ours: no clause may raise a false alarm over them.

mod bucket;
mod none_inline;
mod queued;
mod serial;

use std::{
    sync::{Arc, Mutex},
    thread,
};

use async_trait::async_trait;
use cache_core::{BlobName, Key, Powers, PutBlob, PutEntry, Result, SpillSource, Store};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{CLAUSES, Crash, Damage, Factory, Failures, Outcome, Reference, Setup};

/// Opens what `open` makes of a reference.
struct Odd<T> {
    reference: Reference,
    given: T,
    open: fn(&Reference, &Setup, &T) -> Result<Arc<dyn SpillSource>>,
}

#[async_trait]
impl<T: Send + Sync + 'static> Factory for Odd<T> {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        Ok((self.open)(&self.reference, setup, &self.given)?)
    }

    fn damage(&self) -> Option<&dyn Damage> {
        self.reference.damage()
    }

    fn failures(&self) -> Option<&dyn Failures> {
        self.reference.failures()
    }

    fn crash(&self) -> Option<&dyn Crash> {
        self.reference.crash()
    }
}

/// Reads all streams of an entry. One that fails is replaced by its error, for the store to find it.
async fn in_hand(entry: PutEntry, max_blob_bytes: Option<u64>) -> PutEntry {
    if entry.check(max_blob_bytes).is_err() {
        return entry;
    }
    let mut read = PutEntry::default();
    for (name, blob) in entry.into_blobs() {
        let pieces: Result<Vec<_>> = blob.into_checked_stream(&name, max_blob_bytes).try_collect().await;
        read = match pieces {
            Ok(pieces) => read.with(name, pieces.concat()),
            Err(error) => return broken(name, error),
        };
    }
    read
}

fn broken(name: BlobName, error: cache_core::Error) -> PutEntry {
    let stream = stream::iter([Err(error)]).boxed();
    PutEntry::default().with_blob(name, PutBlob::Stream { len: None, stream })
}

/// No limits, next to no powers, and blobs of up to 16 MiB only.
mod capped {
    use super::*;

    fn capped() -> Odd<()> {
        let open = |reference: &Reference, setup: &Setup, (): &()| -> Result<Arc<dyn SpillSource>> {
            let mut setup = setup.clone();
            setup.max_blob_bytes = Some(setup.max_blob_bytes.unwrap_or(16 << 20).min(16 << 20));
            Ok(Arc::new(reference.store(&setup)?))
        };
        let mut powers = Powers::default();
        powers.dated = true;
        Odd { reference: Reference::with_powers(powers), given: (), open }
    }

    crate::suite! { capped() }
}

/// Tries all clauses, many at a time: for stores that sleep most of the time.
fn assert_keeps_all<F: Factory>(fresh: impl Fn() -> F + Sync) {
    let next = Mutex::new(CLAUSES.iter());
    let broken = Mutex::new(Vec::new());
    let work = || {
        while let Some(clause) = { next.lock().expect("a clause").next() } {
            match clause.run(fresh()) {
                Outcome::Passed | Outcome::NotRun(_) => {}
                outcome => broken.lock().expect("a list").push(format!("{}: {outcome}", clause.id)),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(work);
        }
    });
    assert_eq!(broken.into_inner().expect("a list"), Vec::<String>::new());
}

/// The stripe that a key belongs to.
fn stripe(key: &Key, of: usize) -> usize {
    key.digest.as_bytes().first().map_or(0, |byte| usize::from(*byte) % of)
}
