use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, RANGE},
    uri::Scheme,
};
use object_store::client::{
    HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::time::timeout;

use crate::client::transfer_time;

use super::{
    Clients, Settings,
    answer::{is_page, refusal},
    body::{Bounded, Stopped},
    host::is_metadata_service,
    listing::{is_listing, without_strangers},
};

/// What is kept of the body of an error.
const MAX_REFUSAL_BYTES: usize = 64 << 10;
/// What a page of a listing, a token or the like may have: a page of 1,000 names has 2 MiB at most.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// What answers on this machine's link answers soon, or does not: to a container that is a hop too far away, never.
const METADATA_IDLE: Duration = Duration::from_secs(2);

/// A client whose answers are bounded in time and memory.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) clients: Arc<Clients>,
    pub(super) settings: Settings,
    pub(super) allow_http: bool,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if !self.allow_http && request.uri().scheme() != Some(&Scheme::HTTPS) {
            return Err(Stopped::PlainHttp.into());
        }
        let metadata = request.uri().host().is_some_and(is_metadata_service);
        let Settings { idle, .. } = self.settings;
        let (client, idle) = if metadata {
            (&self.clients.link_local, idle.min(METADATA_IDLE))
        } else {
            (&self.clients.far, idle)
        };
        let repeatable = is_repeatable(&request);
        let purpose = Purpose::of(&request);
        let within = idle.saturating_add(self.upload_time(&request));
        let answer = match timeout(within, HttpService::call(client, request)).await {
            Ok(answer) => answer.map_err(|error| refine(error, repeatable))?,
            Err(_) => return Err(refine(Stopped::Idle(within).into(), repeatable)),
        };
        let (mut parts, body) = answer.into_parts();
        if parts.status.is_success() {
            let body = self.accept(body, purpose, idle).await?;
            return Ok(HttpResponse::from_parts(parts, body));
        }
        let body = start_of(body, idle).await;
        let said = if parts.status == StatusCode::NOT_MODIFIED {
            String::new()
        } else {
            refusal(&parts.headers, &body)
        };
        // The length of what was replaced.
        parts.headers.remove(CONTENT_LENGTH);
        Ok(HttpResponse::from_parts(parts, said.into()))
    }
}

impl Service {
    /// The body of a success: an object's as it comes, others when they are whole and what they have to be.
    async fn accept(
        &self,
        body: HttpResponseBody,
        purpose: Purpose,
        idle: Duration,
    ) -> Result<HttpResponseBody, HttpError> {
        let bounded = |cap| HttpResponseBody::new(Bounded::new(body, idle, cap));
        if purpose == Purpose::Object {
            return Ok(bounded(None));
        }
        let body = bounded(Some(MAX_ANSWER_BYTES)).bytes().await?;
        let stranger = match purpose {
            Purpose::Listing => !is_listing(&body),
            Purpose::Name => !is_name(body.trim_ascii()),
            Purpose::Object | Purpose::Other => is_page(&body),
        };
        if stranger {
            return Err(Stopped::Stranger.into());
        }
        Ok(match purpose {
            Purpose::Listing => without_strangers(body),
            Purpose::Name => body.slice_ref(body.trim_ascii()),
            Purpose::Object | Purpose::Other => body,
        }
        .into())
    }

    /// What the bytes of a request may take on their way.
    fn upload_time(&self, request: &HttpRequest) -> Duration {
        transfer_time(request.body().content_length() as u64, self.settings.min_bytes_per_second)
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// An object's own bytes: they are asked for by their range, and nothing else is.
    Object,
    Listing,
    /// What goes into the next request: the token and the role of an instance.
    Name,
    Other,
}

impl Purpose {
    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let path = request.uri().path();
        if request.method() == Method::PUT && path.ends_with("/latest/api/token")
            || request.method() == Method::GET && path.ends_with("/iam/security-credentials/")
        {
            Self::Name
        } else if request.method() != Method::GET {
            Self::Other
        } else if request.headers().contains_key(RANGE) {
            Self::Object
        } else if query.split('&').any(|pair| pair == "list-type=2" || pair == "comp=list") {
            Self::Listing
        } else {
            Self::Other
        }
    }
}

/// Whether a text may be a header and the last part of a URL: object_store panics if it is none.
fn is_name(text: &[u8]) -> bool {
    (1..=1024).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(byte))
}

/// Whether a request may be made again when nobody knows what came of it. What object_store does not know: deleting
/// is so, too, of one object and of many.
fn is_repeatable(request: &HttpRequest) -> bool {
    request.method() == Method::DELETE
        || request.method() == Method::POST && request.uri().query() == Some("delete")
}

/// Gives errors the kinds by which requests are made again.
fn refine(error: HttpError, repeatable: bool) -> HttpError {
    let unreachable = source_of::<reqwest::Error>(&error).is_some_and(reqwest::Error::is_connect);
    match error.kind() {
        HttpErrorKind::Connect => error,
        _ if unreachable => HttpError::new(HttpErrorKind::Connect, error),
        HttpErrorKind::Timeout | HttpErrorKind::Interrupted if repeatable => {
            HttpError::new(HttpErrorKind::Request, error)
        }
        _ => error,
    }
}

fn source_of<E: std::error::Error + 'static>(error: &HttpError) -> Option<&E> {
    std::error::Error::source(error)?.downcast_ref()
}

/// As much of a body as is kept, as far as it comes in time: its end says nothing that its start does not.
async fn start_of(body: HttpResponseBody, within: Duration) -> Vec<u8> {
    use futures::StreamExt;

    let mut start = Vec::new();
    let mut chunks = body.bytes_stream();
    let read = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            let left = MAX_REFUSAL_BYTES - start.len();
            start.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
            if start.len() == MAX_REFUSAL_BYTES {
                break;
            }
        }
    };
    // What came until then is what there is.
    let _ = timeout(within, read).await;
    start
}
