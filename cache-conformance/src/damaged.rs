//! Entries whose stored bytes are changed, and what reads of them may answer.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a clause fails by panicking")]

mod cases;
mod reading;

use bytes::Bytes;
use cache_core::Key;

pub(crate) use self::{
    cases::{never_swapped, never_wrong},
    reading::{Answer, Form, corrupt_reads, read},
};
use crate::{Damage, Factory, Setup, sample::bytes, subject::Subject};

/// A store, and what damages it.
pub(crate) struct Patient<'a> {
    factory: &'a dyn Factory,
    setup: Setup,
    pub(crate) damage: &'a dyn Damage,
    store: Option<Subject>,
}

impl<'a> Patient<'a> {
    pub(crate) async fn open(factory: &'a dyn Factory) -> Self {
        Self::open_with(factory, Setup::default()).await
    }

    pub(crate) async fn open_with(factory: &'a dyn Factory, setup: Setup) -> Self {
        let damage = factory.damage().expect("a handle that damages stored bytes");
        let store = Some(Subject::open_with(factory, setup.clone()).await);
        Self { factory, setup, damage, store }
    }

    pub(crate) fn store(&self) -> &Subject {
        self.store.as_ref().expect("an open store")
    }

    /// Closes the store, so that what it keeps in memory masks no damage; one that would lose everything
    /// stays open.
    pub(crate) async fn stop(&mut self) {
        let store = self.store();
        store.flush().await.expect("a flush");
        if store.info().powers.durable {
            store.close(None).await.expect("a close");
            self.store = None;
        }
    }

    pub(crate) async fn start(&mut self) {
        if self.store.is_none() {
            self.store = Some(Subject::open_with(self.factory, self.setup.clone()).await);
        }
    }

    /// The objects of an entry that is there.
    pub(crate) async fn objects(&self, key: &Key) -> Vec<String> {
        let objects = self.damage.objects(key).await.expect("the objects");
        assert!(!objects.is_empty(), "the handle finds no objects of {key}");
        objects
    }

    pub(crate) async fn bytes_of(&self, object: &str) -> Bytes {
        self.damage.read(object).await.expect("an object")
    }

    pub(crate) async fn write(&self, object: &str, bytes: Bytes) {
        self.damage.write(object, bytes).await.expect("a damaged object");
    }

    /// Changes one object of an entry.
    pub(crate) async fn change(&self, key: &Key, object: usize, way: &Way) {
        let objects = self.objects(key).await;
        let object = &objects[object.min(objects.len() - 1)];
        let good = self.bytes_of(object).await;
        self.write(object, way.applied(&good)).await;
    }

    /// Changes the byte in the middle of every object.
    pub(crate) async fn spoil(&self, key: &Key) {
        for object in 0..self.objects(key).await.len() {
            self.change(key, object, &Way::FlipMiddle).await;
        }
    }

    /// Swaps the objects of two entries, as many as both have.
    pub(crate) async fn swap(&self, one: &Key, other: &Key) {
        for (one, other) in self.objects(one).await.iter().zip(&self.objects(other).await) {
            let (first, second) = (self.bytes_of(one).await, self.bytes_of(other).await);
            self.write(one, second).await;
            self.write(other, first).await;
        }
    }
}

/// What happens to the bytes of an object.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// A bit of this byte is another one.
    Flip(usize),
    FlipMiddle,
    /// Only so many bytes are left.
    Cut(usize),
    /// These follow.
    Grow(Bytes),
    /// These stand in place of those at an offset.
    Over(usize, Bytes),
}

impl Way {
    fn applied(&self, good: &Bytes) -> Bytes {
        let mut bytes = good.to_vec();
        match self {
            Self::Flip(at) if *at < bytes.len() => bytes[*at] ^= 1 << (at % 8),
            Self::FlipMiddle if !bytes.is_empty() => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            Self::Flip(_) | Self::FlipMiddle => bytes.push(0),
            Self::Cut(len) => bytes.truncate(*len),
            Self::Grow(more) => bytes.extend_from_slice(more),
            Self::Over(at, new) => {
                let end = bytes.len().min(at + new.len());
                bytes[*at..end].copy_from_slice(&new[..end - at]);
            }
        }
        bytes.into()
    }
}

/// The positions in an object that are tried: all of a small one, else its ends and some in between.
pub(crate) fn positions(len: usize) -> Vec<usize> {
    if len <= 4096 {
        return (0..len).collect();
    }
    let seed = crate::run::options().seed.unwrap_or(1);
    let draws = bytes(seed, 8 * 300);
    let draws =
        draws.chunks(8).map(|draw| draw.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)));
    let between = draws.map(|draw| 64 + draw % (len - 128));
    (0..64).chain(between).chain(len - 64..len).collect()
}
