use std::sync::Arc;

use cache_core::{Error, ErrorKind, Key, PutBlob, PutEntry, PutOptions, PutOutcome, Result, Store};
use futures::{StreamExt, stream};

use super::{
    When,
    inject::Fault,
    stream::{first, first_of_stream},
    when::Schedule,
};

/// Cuts puts in the middle: the n-th, every k-th, or some by chance.
///
/// A machine that loses its power leaves half a file under the final name, and an upload that breaks off
/// leaves half an object. How a put is cut is a [`Tear`]; reads and all other calls pass untouched. Streams
/// are torn as they pass, so every put counts, whatever becomes of it.
///
/// Clones share store, counts and what is armed.
#[derive(Debug)]
pub struct Torn<S> {
    pub(super) inner: Arc<S>,
    pub(super) fault: Tearing,
}

/// How a put is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tear {
    /// The last blob arrives as a stream that ends in [`Unavailable`](ErrorKind::Unavailable) after so many
    /// bytes, or at its end if it has fewer. What the store makes of it is the answer.
    BreaksOff(u64),
    /// Only so many of the first blobs arrive, at least one, and success is told.
    LosesBlobs(usize),
    /// The last blob has so many bytes at most, and success is told.
    CutsShort(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Tearing {
    schedule: Arc<Schedule>,
    tear: Tear,
}

impl Default for Tearing {
    fn default() -> Self {
        Self { schedule: Arc::default(), tear: Tear::BreaksOff(1) }
    }
}

impl<S: Store> Torn<S> {
    /// Arms it from the start.
    #[must_use]
    pub fn with_faults(self, when: When) -> Self {
        self.arm(when);
        self
    }

    /// Sets how a put is cut, [`BreaksOff(1)`](Tear::BreaksOff) by default.
    #[must_use]
    pub fn with_tear(mut self, tear: Tear) -> Self {
        self.fault.tear = tear;
        self
    }

    /// Sets where [`When::Chance`] begins, 0 by default.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.fault.schedule.seed(seed);
        self
    }

    /// Cuts puts from now on, counted anew; [`When::Never`] ends it.
    pub fn arm(&self, when: When) {
        self.fault.schedule.arm(when);
    }

    /// How many puts there were, those that were cut included.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.fault.schedule.counted()
    }

    /// How many puts were cut.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.fault.schedule.struck()
    }
}

impl Tear {
    fn cut(self, entry: PutEntry) -> PutEntry {
        let mut blobs = entry.into_blobs();
        if let Self::LosesBlobs(keep) = self {
            blobs.truncate(keep.max(1));
        } else if let Some((name, last)) = blobs.pop() {
            blobs.push((name, self.cut_blob(last)));
        }
        blobs.into_iter().fold(PutEntry::default(), |entry, (name, blob)| entry.with_blob(name, blob))
    }

    fn cut_blob(self, blob: PutBlob) -> PutBlob {
        match (self, blob) {
            (Self::BreaksOff(after), blob) => {
                let len = blob.known_len();
                let stream = match blob {
                    PutBlob::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
                    PutBlob::Stream { stream, .. } => stream,
                };
                let error = Error::new(ErrorKind::Unavailable, "torn", "put");
                let end = stream::iter([Err(error.with_detail("the blob breaks off, as armed"))]);
                PutBlob::Stream { len, stream: first_of_stream(stream, after).chain(end).boxed() }
            }
            (Self::CutsShort(keep), PutBlob::Bytes(bytes)) => PutBlob::Bytes(first(&bytes, keep)),
            // Without the length that was promised, which would give it away.
            (Self::CutsShort(keep), PutBlob::Stream { stream, .. }) => {
                PutBlob::Stream { len: None, stream: first_of_stream(stream, keep) }
            }
            (Self::LosesBlobs(_), blob) => blob,
        }
    }
}

impl Fault for Tearing {
    async fn put(
        &self,
        store: &impl Store,
        key: &Key,
        mut entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        if self.schedule.strikes() {
            entry = self.tear.cut(entry);
        }
        store.put(key, entry, options).await
    }
}
