use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use cache::{
    BlobName, ByteStream, Cache, Digest, Error, ErrorKind, PutEntry, PutOptions, collect_capped,
    verify_content,
};
use futures::{StreamExt, stream};

use tokio::{sync::Semaphore, time::Instant};

use crate::{protocol::Content, refused::Refused};

/// A body of at most this many bytes is taken in hand before it is put: stores write it in one go, and
/// those that share memory keep it without a copy.
const IN_HAND: u64 = 1 << 20;

/// So many bodies stream into the store at once: each of them holds files open while it does.
pub(crate) const STREAMS: usize = 256;

/// What an upload may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most bytes.
    pub(crate) bytes: u64,
    /// The longest wait for the next ones.
    pub(crate) idle: Duration,
    /// The fewest bytes that each such wait has to bring.
    pub(crate) least: u64,
}

/// Why a body ended early, kept beside the error that the store is given: what comes back from the
/// store may have been through tiers.
type Ended = Arc<OnceLock<Refused>>;

/// Stores a body. Answers 200 only for one that was stored whole; else the older value is intact,
/// unless the store refuses the entry by policy.
pub(crate) async fn put(
    cache: &Cache,
    digest: Digest,
    content: Content,
    limits: Limits,
    streams: &Semaphore,
    body: Body,
) -> Result<Response, Refused> {
    let len = body.size_hint().exact();
    if let Some(len) = len
        && len > limits.bytes
    {
        return Err(Refused::too_large(len, limits.bytes));
    }
    let _slot = match len {
        Some(len) if len <= IN_HAND => None,
        _ => match tokio::time::timeout(limits.idle, streams.acquire()).await {
            Ok(Ok(slot)) => Some(slot),
            _ => return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "too many uploads at once")),
        },
    };
    let ended = Ended::default();
    let received = receive(body, limits, ended.clone());
    let checked = match content {
        Content::Addressed => verify_content(received, digest),
        Content::Opaque => received,
    };
    store(cache, digest, len, checked)
        .await
        .unwrap_or_else(|error| Err(ended.get().cloned().unwrap_or_else(|| Refused::from(&error))))
}

async fn store(
    cache: &Cache,
    digest: Digest,
    len: Option<u64>,
    body: ByteStream,
) -> cache::Result<Result<Response, Refused>> {
    let entry = match len {
        Some(len) if len <= IN_HAND => {
            let bytes = collect_capped(body, len).await?;
            if bytes.len() as u64 != len {
                return Err(Error::invalid(format!("{} bytes came, {len} were announced", bytes.len())));
            }
            PutEntry::data(bytes)
        }
        len => PutEntry::default().with_stream(BlobName::DATA, len, body),
    };
    let outcome = cache.put_with(digest, entry, PutOptions::default()).await?;
    Ok(Refused::of_put(outcome.status).map_or_else(|| Ok(StatusCode::OK.into_response()), Err))
}

/// The body as it comes in, ended by an error if it is too large, too slow or cut off.
fn receive(body: Body, limits: Limits, ended: Ended) -> ByteStream {
    let start = Some((body.into_data_stream(), 0_u64, Pace::begin()));
    stream::unfold(start, move |state| {
        let ended = ended.clone();
        async move {
            let (mut body, seen, mut pace) = state?;
            let end = |kind: ErrorKind, refused: Refused| {
                let error = Error::new(kind, "", "").with_detail("the upload ended early");
                ended.get_or_init(|| refused);
                Some((Err(error), None))
            };
            let Ok(next) = tokio::time::timeout(limits.idle, body.next()).await else {
                let text = format!("nothing came for {:?}", limits.idle);
                return end(ErrorKind::Timeout, Refused::new(StatusCode::REQUEST_TIMEOUT, text));
            };
            match next? {
                Ok(piece) => {
                    let seen = seen.saturating_add(piece.len() as u64);
                    if seen > limits.bytes {
                        return end(ErrorKind::TooLarge, Refused::too_large(seen, limits.bytes));
                    }
                    if !pace.keeps_up(piece.len() as u64, limits) {
                        let text = format!("less than {} bytes came in {:?}", limits.least, limits.idle);
                        return end(ErrorKind::Timeout, Refused::new(StatusCode::REQUEST_TIMEOUT, text));
                    }
                    Some((Ok(piece), Some((body, seen, pace))))
                }
                Err(_) => {
                    let text = "the upload was cut off or is malformed";
                    end(ErrorKind::Invalid, Refused::new(StatusCode::BAD_REQUEST, text))
                }
            }
        }
    })
    .fuse()
    .boxed()
}

/// How fast a body comes in.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn begin() -> Self {
        Self { since: Instant::now(), bytes: 0 }
    }

    /// Whether the last stretch of time brought enough.
    fn keeps_up(&mut self, bytes: u64, limits: Limits) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.since.elapsed() < limits.idle {
            return true;
        }
        let enough = self.bytes >= limits.least;
        *self = Self::begin();
        enough
    }
}
