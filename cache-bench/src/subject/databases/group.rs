use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use bytes::Bytes;
use cache_core::Digest;
use redb::Durability;
use tokio::sync::oneshot;

use crate::{
    failure::Result,
    subject::{Subject, databases::raw::RawRedb, files::Flushes},
};

/// The most that is put in one transaction.
const BATCH: usize = 1024;

/// One thread that writes: all that waits for it goes into one transaction, and is answered when it is committed.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    raw: Arc<RawRedb>,
    queue: Sender<Request>,
}

#[derive(Debug)]
struct Request {
    /// Without one, all that was put before becomes durable.
    put: Option<(Digest, Bytes)>,
    answer: oneshot::Sender<bool>,
}

impl GroupCommit {
    /// Commits as durably as this.
    pub(crate) fn new(raw: Arc<RawRedb>, durability: Durability) -> Self {
        let (queue, requests) = channel();
        let writing = Arc::clone(&raw);
        // It ends when the last of those that ask is gone.
        thread::spawn(move || write(&writing, durability, &requests));
        Self { raw, queue }
    }

    async fn ask(&self, put: Option<(Digest, Bytes)>) -> bool {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request { put, answer }).is_ok() && answered.await.unwrap_or(false)
    }
}

fn write(raw: &RawRedb, durability: Durability, requests: &Receiver<Request>) {
    let (mut values, mut answers) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    while let Ok(first) = requests.recv() {
        let mut durability = durability;
        for request in std::iter::once(first).chain(requests.try_iter().take(BATCH - 1)) {
            match request.put {
                Some(put) => values.push(put),
                None => durability = Durability::Immediate,
            }
            answers.push(request.answer);
        }
        let done = raw.insert_all(&values, durability).is_ok();
        values.clear();
        for answer in answers.drain(..) {
            _ = answer.send(done);
        }
    }
}

impl Subject for GroupCommit {
    async fn get(&self, digest: &Digest) -> Option<Bytes> {
        let found: Result<Option<Bytes>> = self.raw.get(digest);
        found.ok().flatten()
    }

    async fn put(&self, digest: Digest, value: Bytes) -> bool {
        self.ask(Some((digest, value))).await
    }
}

impl Flushes for GroupCommit {
    async fn flush(&self) -> bool {
        self.ask(None).await
    }
}
