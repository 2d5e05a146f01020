//! A source under test, and a sink that remembers what it was handed.
#![expect(clippy::expect_used, clippy::panic, reason = "a clause fails by panicking")]

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use cache_core::{
    EntryMeta, EntryRead, EvictionSink, Handover, Key, Namespace, PutOptions, SpillSource, Store,
};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::timeout,
};

use crate::{
    Factory, Setup, run,
    sample::{Contents, blobs, bytes, entry, hours_ago, key},
    subject::Subject,
};

/// So many entries fit.
pub(crate) const FIT: u64 = 8;

pub(crate) struct Victim {
    pub(crate) key: Key,
    pub(crate) contents: Contents,
    pub(crate) meta: EntryMeta,
}

/// Remembers what it was handed, and answers as it is told.
pub(crate) struct Taking {
    victims: Mutex<Vec<Victim>>,
    answer: Box<dyn Fn(&Key) -> Handover + Send + Sync>,
    /// Closed, it keeps everybody waiting.
    gate: Semaphore,
    pub(crate) arrived: Notify,
}

impl fmt::Debug for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taking").finish_non_exhaustive()
    }
}

impl Taking {
    pub(crate) fn answering(answer: impl Fn(&Key) -> Handover + Send + Sync + 'static) -> Arc<Self> {
        Self::behind(Semaphore::MAX_PERMITS, answer)
    }

    /// Takes all, but not before it is let.
    pub(crate) fn closed() -> Arc<Self> {
        Self::behind(0, |_| Handover::Taken)
    }

    fn behind(permits: usize, answer: impl Fn(&Key) -> Handover + Send + Sync + 'static) -> Arc<Self> {
        let (gate, answer) = (Semaphore::new(permits), Box::new(answer));
        Arc::new(Self { victims: Mutex::default(), answer, gate, arrived: Notify::new() })
    }

    pub(crate) fn let_go(&self) {
        self.gate.add_permits(1 << 20);
    }

    /// The keys of what was handed on, in order.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.look(|victims| victims.iter().map(|victim| victim.key.clone()).collect())
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Victim]) -> T) -> T {
        look(&self.victims.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl EvictionSink for Taking {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        let mut answers = Vec::new();
        for victim in victims {
            let mut contents = Contents::new();
            for (name, blob) in victim.blobs {
                contents.insert(name.to_string(), blob.collect(u64::MAX).await.expect("a blob in hand"));
            }
            let key = victim.meta.key.clone();
            answers.push((self.answer)(&key));
            let mut victims = self.victims.lock().unwrap_or_else(PoisonError::into_inner);
            victims.push(Victim { key, contents, meta: victim.meta });
        }
        self.arrived.notify_one();
        let _permit = self.gate.acquire().await.expect("a gate");
        answers
    }
}

pub(crate) struct Source {
    pub(crate) source: Arc<dyn SpillSource>,
    pub(crate) store: Subject,
    pub(crate) max: u64,
    /// The bytes of an entry of which so many fit.
    pub(crate) each: usize,
}

impl Source {
    pub(crate) async fn open(factory: &dyn Factory, sink: &Arc<Taking>) -> Self {
        let handle = factory.spill().expect("a handle that opens a source");
        let source = handle.open(&Setup::default().with_max_bytes(64 << 10)).await.expect("a source");
        let info = source.info();
        assert!(info.powers.spills, "a source does not declare that it spills: {info:?}");
        let max = info.max_bytes.expect("who spills has a budget");
        // With room for what the store keeps besides blobs.
        let each = usize::try_from(max / 128 * 15).expect("a small budget");
        let before = source.set_sink(Some(Arc::clone(sink) as Arc<dyn EvictionSink>));
        assert!(before.is_none(), "a new source has a sink");
        let store = Subject::of(Arc::clone(&source) as Arc<dyn Store>);
        Self { source, store, max, each }
    }

    pub(crate) fn contents(&self, number: u64) -> Contents {
        blobs([("a", bytes(number, self.each / 2)), ("b", bytes(number + 1000, self.each / 2))])
    }

    pub(crate) async fn put(&self, number: u64) {
        let created = PutOptions::default().with_created(hours_ago(number % 7));
        self.store.put_as(&key(number), &self.contents(number), created).await;
    }

    /// Puts as much as fits.
    pub(crate) async fn fill(&self) {
        for number in 0..FIT {
            self.put(number).await;
        }
    }

    pub(crate) async fn assert_in_budget(&self) {
        let usage = self.store.usage_below(&Namespace::root()).await;
        assert!(usage.bytes <= self.max, "{usage} under a budget of {} bytes", self.max);
    }

    /// A full store, and a put that waits for the sink.
    pub(crate) async fn waiting_put(&self, sink: &Taking) -> JoinSet<()> {
        self.fill().await;
        let (source, contents) = (Arc::clone(&self.source), self.contents(FIT));
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            let put = source.put(&key(FIT), entry(&contents), PutOptions::default()).await;
            assert!(put.expect("a put").is_stored(), "a put that waited for the sink is refused");
        });
        at_once("a victim", sink.arrived.notified()).await;
        waiting
    }
}

pub(crate) async fn at_once<F: Future>(what: &str, future: F) -> F::Output {
    let answer = timeout(run::options().limit / 30, future).await;
    answer.unwrap_or_else(|_| panic!("{what} does not come while a sink takes its time"))
}

/// The put that has waited is stored.
pub(crate) async fn ends(mut put: JoinSet<()>) {
    let ended = at_once("a put", put.join_next()).await;
    ended.expect("a put").unwrap_or_else(|error| panic!("{error}"));
}
