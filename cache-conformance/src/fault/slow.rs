use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use cache_core::{
    Blob, BlobName, ByteStream, GetOptions, Key, KeyView, PutEntry, PutOptions, PutOutcome, Result, Store,
};
use fastrand::Rng;
use futures::StreamExt;

use super::{
    Call,
    call::Only,
    inject::Fault,
    stream::{restream, restream_put},
};

/// Takes its time for each call.
///
/// What is instant in a test takes milliseconds over a network, and races hide in them. Each call waits
/// before the store is asked; with [`with_slow_pieces`](Self::with_slow_pieces) streams trickle, too. A
/// store that is slow has no hit at once: `get_now` answers `None` while there is a delay.
///
/// Runs inside a tokio runtime with time enabled, and follows its clock when that is paused. Clones share
/// store and delay.
#[derive(Debug)]
pub struct Slow<S> {
    pub(super) inner: Arc<S>,
    pub(super) fault: Slowness,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Slowness {
    pace: Arc<Mutex<Pace>>,
    pieces: bool,
    only: Only,
}

#[derive(Debug)]
struct Pace {
    delay: Duration,
    jitter: Duration,
    random: Rng,
}

impl Default for Pace {
    fn default() -> Self {
        Self { delay: Duration::ZERO, jitter: Duration::ZERO, random: Rng::with_seed(0) }
    }
}

impl<S: Store> Slow<S> {
    /// Sets how long each call waits at least; not at all by default.
    #[must_use]
    pub fn with_delay(self, delay: Duration) -> Self {
        self.set_delay(delay);
        self
    }

    /// Sets how much longer a call waits at most. How much is drawn from the seed; without a delay it is
    /// nothing.
    #[must_use]
    pub fn with_jitter(self, jitter: Duration) -> Self {
        self.fault.pace().jitter = jitter;
        self
    }

    /// Sets where the jitter begins, 0 by default.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.fault.pace().random = Rng::with_seed(seed);
        self
    }

    /// Has each piece of a stream, read or put, wait as long as a call does.
    #[must_use]
    pub fn with_slow_pieces(mut self) -> Self {
        self.fault.pieces = true;
        self
    }

    /// Delays only these calls, and pieces if they are to be slow.
    #[must_use]
    pub fn with_only(mut self, calls: &[Call]) -> Self {
        self.fault.only = calls.into();
        self
    }

    /// Sets how long each call and piece waits at least from now on; zero ends it.
    pub fn set_delay(&self, delay: Duration) {
        self.fault.pace().delay = delay;
    }
}

impl Slowness {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait(&self) {
        let pause = {
            let mut pace = self.pace();
            if pace.delay.is_zero() {
                return;
            }
            pace.delay.saturating_add(pace.jitter.mul_f64(pace.random.f64()))
        };
        tokio::time::sleep(pause).await;
    }

    /// A stream whose pieces wait.
    fn trickle(&self, stream: ByteStream) -> ByteStream {
        let slowness = self.clone();
        let late = move |piece| {
            let slowness = slowness.clone();
            async move {
                slowness.wait().await;
                piece
            }
        };
        stream.then(late).boxed()
    }
}

impl Fault for Slowness {
    async fn around<T: Send>(
        &self,
        call: Call,
        _key: Option<&Key>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if !self.only.has(call) {
            return work.await;
        }
        if call == Call::Close {
            // A store is closed from the first poll on: what is slow is the end.
            let outcome = work.await;
            self.wait().await;
            return outcome;
        }
        self.wait().await;
        work.await
    }

    fn get_now(&self, store: &impl Store, key: KeyView<'_>, name: &BlobName) -> Option<Bytes> {
        if self.only.has(Call::Get) && !self.pace().delay.is_zero() {
            return None;
        }
        store.get_now(key, name)
    }

    async fn blob(
        &self,
        _store: &impl Store,
        _key: &Key,
        _name: &BlobName,
        _options: &GetOptions,
        blob: Blob,
    ) -> Blob {
        if self.pieces { restream(blob, |stream| self.trickle(stream)) } else { blob }
    }

    async fn put(
        &self,
        store: &impl Store,
        key: &Key,
        mut entry: PutEntry,
        options: PutOptions,
    ) -> Result<PutOutcome> {
        if self.pieces {
            entry = restream_put(entry, |stream| self.trickle(stream));
        }
        store.put(key, entry, options).await
    }
}
