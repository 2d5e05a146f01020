use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cache_core::{Blob, BlobName, ByteStream, GetOptions, Key, KeyView, ListOptions, Namespace, Store};
use futures::{StreamExt, TryStreamExt};

use super::{
    When,
    inject::Fault,
    stream::{first, first_of_stream, rewrite},
    when::Schedule,
};

/// Hands out wrong bytes: for the n-th blob that is read, every k-th, or some by chance.
///
/// A bit flips on a disk or in a switch, and a compiler is handed an object file that is almost right.
/// What is wrong is a [`Defect`]. It is done to what is read, in hand or as a stream; what is stored stays
/// as it is. Counted is each blob with at least one byte that `get`, `get_entry` or `get_now` finds, as far
/// as it was asked for. A checksum that the read tells is that of the true bytes.
///
/// Clones share store, counts and what is armed.
#[derive(Debug)]
pub struct Corrupting<S> {
    pub(super) inner: Arc<S>,
    pub(super) fault: Corruption,
}

/// What is wrong with the bytes that are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Defect {
    /// One bit, drawn from the seed, is the other way round. All lengths are true.
    #[default]
    BitFlip,
    /// The bytes end early, after a number drawn from the seed. The lengths that a stream and a whole blob
    /// are told to have stay as they were.
    Truncation,
    /// They are those of the blob of that name in another entry of the store, with its lengths: the next
    /// entry in listing order that has it, or else the first. Without any the bytes are true. `get_now`
    /// answers `None` while this is armed, as another entry cannot be found without waiting.
    OtherEntry,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Corruption {
    schedule: Arc<Schedule>,
    defect: Defect,
}

impl<S: Store> Corrupting<S> {
    /// Arms it from the start.
    #[must_use]
    pub fn with_faults(self, when: When) -> Self {
        self.arm(when);
        self
    }

    /// Sets what is wrong, [`BitFlip`](Defect::BitFlip) by default.
    #[must_use]
    pub fn with_defect(mut self, defect: Defect) -> Self {
        self.fault.defect = defect;
        self
    }

    /// Sets where the damage and [`When::Chance`] begin, 0 by default.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.fault.schedule.seed(seed);
        self
    }

    /// Damages what is read from now on, counted anew; [`When::Never`] ends it.
    pub fn arm(&self, when: When) {
        self.fault.schedule.arm(when);
    }

    /// How many blobs were read, damaged ones included.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.fault.schedule.counted()
    }

    /// How many of them were damaged.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.fault.schedule.struck()
    }
}

/// One bit that is the other way round.
#[derive(Clone, Copy)]
struct Flip {
    /// The byte's place.
    at: u64,
    bit: u64,
}

impl Flip {
    /// Turns the bit in a piece that begins at `start`, if it lies there.
    fn turn(self, piece: &Bytes, start: u64) -> Bytes {
        let at = self.at.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        let mut turned = BytesMut::from(&**piece);
        match at.and_then(|at| turned.get_mut(at)) {
            Some(byte) => *byte ^= 1 << self.bit,
            None => return piece.clone(),
        }
        turned.freeze()
    }

    fn turn_in_stream(self, stream: ByteStream) -> ByteStream {
        let mut start = 0;
        let turn = move |piece: Bytes| {
            let turned = self.turn(&piece, start);
            start += piece.len() as u64;
            turned
        };
        stream.map_ok(turn).boxed()
    }
}

impl Corruption {
    /// Damages a blob that has bytes.
    fn damage(&self, blob: Blob) -> Blob {
        let at = self.schedule.draw(blob.len());
        if self.defect == Defect::Truncation {
            return rewrite(blob, |bytes| first(bytes, at), |stream| first_of_stream(stream, at));
        }
        let flip = Flip { at, bit: self.schedule.draw(8) };
        rewrite(blob, |bytes| flip.turn(bytes, 0), |stream| flip.turn_in_stream(stream))
    }
}

/// What another entry has under this name, or in the end this one.
async fn other(store: &impl Store, key: &Key, name: &BlobName, options: &GetOptions) -> Option<Blob> {
    let all = ListOptions::below(&Namespace::root());
    let next = store.list(all.clone().with_start_after(key.clone()));
    let mut others = next.chain(store.list(all));
    while let Some(Ok(entry)) = others.next().await {
        if let Ok(Some(blob)) = store.get(&entry.key, name, options.clone()).await {
            return Some(blob);
        }
    }
    None
}

impl Fault for Corruption {
    fn get_now(&self, store: &impl Store, key: KeyView<'_>, name: &BlobName) -> Option<Bytes> {
        if self.defect == Defect::OtherEntry && self.schedule.is_armed() {
            return None;
        }
        let found = store.get_now(key, name)?;
        if found.is_empty() || !self.schedule.strikes() {
            return Some(found);
        }
        self.damage(found.into()).bytes().cloned()
    }

    async fn blob(
        &self,
        store: &impl Store,
        key: &Key,
        name: &BlobName,
        options: &GetOptions,
        blob: Blob,
    ) -> Blob {
        if blob.is_empty() || !self.schedule.strikes() {
            return blob;
        }
        match self.defect {
            Defect::OtherEntry => other(store, key, name, options).await.unwrap_or(blob),
            Defect::BitFlip | Defect::Truncation => self.damage(blob),
        }
    }
}
