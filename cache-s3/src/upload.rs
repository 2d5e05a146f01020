//! An object that is written from its beginning: in one request, or in parts if it is large.

use std::{mem, sync::Arc};

use bytes::{Bytes, BytesMut};
use cache_core::{Error, ErrorKind, Result};
use object_store::{
    MultipartUpload, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion, path::Path,
};
use tokio::task::JoinSet;

use crate::{
    engine::Engine,
    failure::Failure,
    fetch::{FOOTER_READ, Version},
};

/// Shorter pieces are copied together.
const SHARED: usize = 64 << 10;
/// As many as S3 allows.
const MAX_PARTS: u64 = 10_000;

/// On what a put depends, if on anything.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// There is no object.
    Absent,
    /// The object is of this version.
    Is(Version),
}

/// An object on its way.
pub(crate) struct Upload {
    engine: Arc<Engine>,
    path: Path,
    part: Part,
    part_bytes: usize,
    /// The bytes of all parts.
    bytes: u64,
    begun: Option<Begun>,
}

#[derive(Clone, Debug, Default)]
struct Part {
    whole: Vec<Bytes>,
    open: BytesMut,
    len: usize,
}

/// An upload in parts. What is dropped before its end is aborted.
struct Begun {
    engine: Arc<Engine>,
    upload: Option<Box<dyn MultipartUpload>>,
    parts: u64,
    /// Parts that are on their way.
    sending: JoinSet<Result<(), Failure>>,
}

impl Part {
    fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if piece.len() < SHARED {
            self.open.extend_from_slice(&piece);
            return;
        }
        self.close();
        self.whole.push(piece);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.whole.push(self.open.split().freeze());
        }
    }

    fn into_payload(mut self) -> PutPayload {
        self.close();
        self.whole.into_iter().collect()
    }
}

impl Upload {
    /// `bytes` is how long the object becomes, as far as that is known.
    pub(crate) fn new(engine: &Arc<Engine>, path: Path, bytes: Option<u64>) -> Self {
        let least = usize::try_from(bytes.unwrap_or(0).div_ceil(MAX_PARTS - 1)).unwrap_or(usize::MAX);
        let part_bytes = engine.options.part_bytes.max(least);
        Self { engine: Arc::clone(engine), path, part: Part::default(), part_bytes, bytes: 0, begun: None }
    }

    /// What was written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The same once more, as long as nothing of it was sent.
    pub(crate) fn fork(&self) -> Option<Self> {
        self.begun.is_none().then(|| Self {
            engine: Arc::clone(&self.engine),
            path: self.path.clone(),
            part: self.part.clone(),
            part_bytes: self.part_bytes,
            bytes: self.bytes,
            begun: None,
        })
    }

    /// Writes a piece. Waits while too many parts are on their way.
    pub(crate) async fn push(&mut self, mut piece: Bytes) -> Result<(), Failure> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        while !piece.is_empty() {
            if self.part.len >= self.part_bytes {
                self.send().await?;
            }
            let room = self.part_bytes.saturating_sub(self.part.len).min(piece.len());
            self.part.push(piece.split_to(room));
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failure> {
        let part = mem::take(&mut self.part);
        let len = part.len as u64;
        let begun = match &mut self.begun {
            Some(begun) => begun,
            begun => begun.insert(Self::begin(&self.engine, &self.path).await?),
        };
        begun.parts += 1;
        if begun.parts > MAX_PARTS {
            let detail = format!("an entry has at most {MAX_PARTS} parts of {} bytes", self.part_bytes);
            return Err(Failure::from(Error::new(ErrorKind::TooLarge, "", "").with_detail(detail)));
        }
        while begun.sending.len() >= self.engine.options.concurrent_parts {
            begun.next().await?;
        }
        if let Some(upload) = &mut begun.upload {
            let (sent, engine) = (upload.put_part(part.into_payload()), Arc::clone(&self.engine));
            begun.sending.spawn(async move {
                engine.client.within("put", len, async { sent.await.map_err(Failure::from) }).await
            });
        }
        Ok(())
    }

    /// Begins an upload in parts. It is aborted also if nobody waits for it any more when the server has begun it.
    async fn begin(engine: &Arc<Engine>, path: &Path) -> Result<Begun> {
        let (of, path) = (Arc::clone(engine), path.clone());
        let begun = engine.gate.run("put", async move {
            let upload = of.client.call("put", 0, |handles| {
                let path = path.clone();
                async move { handles.objects.put_multipart(&path).await }
            });
            let upload = Some(upload.await.map_err(|failure| failure.into_error(None))?);
            Ok(Begun { upload, engine: of, parts: 0, sending: JoinSet::new() })
        });
        begun.await
    }

    /// Sends what is left and makes the object visible; `false` if the condition does not hold.
    ///
    /// What goes up in parts is compared right before its end: no server is asked to compare.
    pub(crate) async fn finish(mut self, condition: Option<&Condition>) -> Result<bool, Failure> {
        if self.begun.is_none() {
            return self.put(condition).await;
        }
        if self.part.len > 0 {
            self.send().await?;
        }
        let Some(mut begun) = self.begun.take() else { return Ok(false) };
        while !begun.sending.is_empty() {
            begun.next().await?;
        }
        if !holds(&self.engine, &self.path, condition).await? {
            return Ok(false);
        }
        let Some(upload) = &mut begun.upload else { return Ok(false) };
        let completed = async { upload.complete().await.map_err(Failure::from) };
        // The server puts all parts together meanwhile.
        self.engine.client.within("put", self.bytes, completed).await?;
        begun.upload = None;
        Ok(true)
    }

    async fn put(self, condition: Option<&Condition>) -> Result<bool, Failure> {
        let mode = match condition {
            _ if !self.engine.is_conditional => PutMode::Overwrite,
            None => PutMode::Overwrite,
            Some(Condition::Absent) => PutMode::Create,
            Some(Condition::Is(version)) => PutMode::Update(UpdateVersion {
                e_tag: version.e_tag.clone(),
                version: version.number.clone(),
            }),
        };
        let (payload, path) = (self.part.into_payload(), self.path);
        let put = self.engine.client.call("put", self.bytes, |handles| {
            let (payload, path) = (payload.clone(), path.clone());
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            async move { handles.objects.put_opts(&path, payload, options).await.map_err(Failure::from) }
        });
        match put.await {
            Ok(_) => Ok(true),
            Err(failure) if failure.is_precondition() && mode != PutMode::Overwrite => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

async fn holds(engine: &Engine, path: &Path, condition: Option<&Condition>) -> Result<bool, Failure> {
    let Some(condition) = condition else { return Ok(true) };
    let now = engine.tail_of("put", path, FOOTER_READ).await?;
    Ok(match (condition, now) {
        (Condition::Is(version), Some(now)) => now.version.is(version),
        (Condition::Absent, now) => now.is_none(),
        (Condition::Is(_), None) => false,
    })
}

impl Begun {
    async fn next(&mut self) -> Result<(), Failure> {
        match self.sending.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(failure))) => Err(failure),
            Some(Err(lost)) => Err(Failure::from(Error::new(ErrorKind::Internal, "", "").with_source(lost))),
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let (Some(mut upload), mut sending) = (self.upload.take(), mem::take(&mut self.sending)) else {
            return;
        };
        let engine = Arc::clone(&self.engine);
        self.engine.gate.spawn(async move {
            sending.shutdown().await;
            // If it fails, `clean` finds it when it is old enough.
            let aborted = async { upload.abort().await.map_err(Failure::from) };
            if let Err(failure) = engine.client.within("put", 0, aborted).await {
                tracing::warn!(
                    store = "s3",
                    "an upload could not be aborted: {}",
                    failure.at("put").into_error(None).to_line()
                );
            }
        });
    }
}
