//! Writes that have a deadline. Each is a task, which goes on when its caller has waited long enough, and which later
//! writes of the key wait for: what a store does late must not land after what it was told later.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use cache_core::{Error, ErrorKind, Key, PutBlob, PutEntry, PutOptions, PutOutcome, Result, Store};
use futures::{
    StreamExt, TryStreamExt,
    future::{Either, select},
};
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};

use super::{Guarded, lingering::Waiting, source, source::Late};

/// What the store answered; the error is that of a caller who has given up.
type Answer<T> = Result<Result<T>>;

impl Guarded {
    pub(super) async fn evict_in_time(&self, key: &Key, deadline: Duration) -> Answer<()> {
        let begin = |store: Arc<dyn Store>, key: Key| async move { store.evict(&key).await };
        self.in_time("evict", key, deadline, begin).await
    }

    pub(super) async fn put_in_time(
        &self,
        key: &Key,
        entry: PutEntry,
        options: PutOptions,
        deadline: Duration,
    ) -> Answer<PutOutcome> {
        if !streams(&entry) {
            let begin =
                |store: Arc<dyn Store>, key: Key| async move { store.put(&key, entry, options).await };
            return self.in_time("put", key, deadline, begin).await;
        }
        let runtime = self.runtime("put")?;
        let waited = timeout(deadline, self.lingering.ended(key)).await;
        waited.map_err(|late| self.late("put", key, earlier(deadline)).with_source(late))?;
        let (copy, source) = source::split(entry);
        let begin = |store: Arc<dyn Store>, key: Key| async move { store.put(&key, copy, options).await };
        let (task, _waiting) = self.spawn(key, &runtime, begin);
        let mut task = pin!(task);
        let first = match select(&mut task, pin!(source.run(deadline, &self.lingering, key))).await {
            Either::Left((answer, _)) => Either::Left(answer),
            Either::Right((handed_on, _)) => Either::Right(handed_on),
        };
        let answer = match first {
            Either::Left(answer) => Ok(answer),
            Either::Right(Ok(())) => timeout(deadline, task).await.map_err(Late::Store),
            Either::Right(Err(late)) => Err(late),
        };
        match answer {
            Ok(answer) => Ok(answer.unwrap_or_else(|error| Err(self.broken("put", key).with_source(error)))),
            Err(Late::Store(late)) => Err(self.late("put", key, too_late(deadline)).with_source(late)),
            Err(Late::Earlier(late)) => {
                let why =
                    format!("an earlier write has not ended within {deadline:?}, and this one was given up");
                Err(self.late("put", key, why).with_source(late))
            }
        }
    }

    /// A write that is in hand: the wait for those before it counts, too.
    async fn in_time<T: Send + 'static, W: Future<Output = Result<T>> + Send + 'static>(
        &self,
        operation: &'static str,
        key: &Key,
        deadline: Duration,
        begin: impl FnOnce(Arc<dyn Store>, Key) -> W + Send,
    ) -> Answer<T> {
        let runtime = self.runtime(operation)?;
        let mut has_begun = false;
        let work = async {
            self.lingering.ended(key).await;
            has_begun = true;
            let (task, _waiting) = self.spawn(key, &runtime, begin);
            task.await.unwrap_or_else(|error| Err(self.broken(operation, key).with_source(error)))
        };
        let answer = timeout(deadline, work).await;
        answer.map_err(|late| {
            let why = if has_begun { too_late(deadline) } else { earlier(deadline) };
            self.late(operation, key, why).with_source(late)
        })
    }

    fn spawn<T: Send + 'static, W: Future<Output = Result<T>> + Send + 'static>(
        &self,
        key: &Key,
        runtime: &Handle,
        begin: impl FnOnce(Arc<dyn Store>, Key) -> W,
    ) -> (JoinHandle<Result<T>>, Waiting) {
        let (running, waiting) = self.lingering.begin(key);
        let work = begin(Arc::clone(&self.store), key.clone());
        let task = async move {
            let _until_its_end = running;
            work.await
        };
        (self.tasks.spawn_on(task, runtime), waiting)
    }

    pub(super) fn runtime(&self, operation: &'static str) -> Result<Handle> {
        Handle::try_current().map_err(|_| {
            let error = Error::new(ErrorKind::Unsupported, self.kind.clone(), operation);
            error.with_detail("this runs only inside a tokio runtime")
        })
    }

    fn late(&self, operation: &'static str, key: &Key, why: String) -> Error {
        Error::new(ErrorKind::Timeout, self.kind.clone(), operation).with_key(key).with_detail(why)
    }

    fn broken(&self, operation: &'static str, key: &Key) -> Error {
        Error::new(ErrorKind::Internal, self.kind.clone(), operation).with_key(key)
    }
}

pub(super) fn too_late(deadline: Duration) -> String {
    format!("no answer within {deadline:?}")
}

fn earlier(deadline: Duration) -> String {
    format!("an earlier write has not ended within {deadline:?}, and this one was not begun")
}

pub(super) fn streams(entry: &PutEntry) -> bool {
    entry.blobs().iter().any(|(_, blob)| matches!(blob, PutBlob::Stream { .. }))
}

/// The same entry, and whether one of its streams has failed: what the put comes to then is no word on the store.
pub(super) fn watched(entry: PutEntry) -> (PutEntry, Arc<AtomicBool>) {
    let has_failed = Arc::new(AtomicBool::new(false));
    let watched = entry.into_blobs().into_iter().fold(PutEntry::default(), |entry, (name, blob)| {
        let blob = match blob {
            PutBlob::Stream { len, stream } => {
                let has_failed = Arc::clone(&has_failed);
                let stream = stream.inspect_err(move |_| has_failed.store(true, Ordering::Release)).boxed();
                PutBlob::Stream { len, stream }
            }
            in_hand @ PutBlob::Bytes(_) => in_hand,
        };
        entry.with_blob(name, blob)
    });
    (watched, has_failed)
}
