use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{
        HeaderMap, Method, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING},
    },
    response::{IntoResponse, Response},
};
use cache::Cache;
use tokio::sync::Semaphore;

use crate::{
    HttpOptions, download, path,
    protocol::{self, Target},
    refused::Refused,
    upload::{self, Limits},
};

/// The mounts of all protocols over `cache`, with default options: no token is asked for.
///
/// The router may be nested below any path.
pub fn router(cache: Cache) -> Router {
    router_with(cache, HttpOptions::default())
}

/// The mounts of all protocols over `cache`.
pub fn router_with(cache: Cache, options: HttpOptions) -> Router {
    // One fallback and no routes: doubled slashes are merged before anything is matched, and a
    // token is asked for whether a route exists or not.
    Router::new().fallback(answer).with_state(Arc::new(Service::new(cache, options)))
}

async fn answer(State(service): State<Arc<Service>>, request: Request) -> Response {
    service.respond(request).await.unwrap_or_else(IntoResponse::into_response)
}

struct Service {
    cache: Cache,
    options: HttpOptions,
    limits: Limits,
    streams: Semaphore,
}

impl Service {
    fn new(cache: Cache, options: HttpOptions) -> Self {
        let store_max = cache.info().max_blob_bytes.unwrap_or(u64::MAX);
        // The product is of milliseconds: a window may be shorter than a second.
        let window = u64::try_from(options.body_idle.as_millis()).unwrap_or(u64::MAX);
        let limits = Limits {
            bytes: options.max_body_bytes.min(store_max),
            idle: options.body_idle,
            least: options.min_body_rate.saturating_mul(window) / 1000,
        };
        Self { cache, options, limits, streams: Semaphore::new(upload::STREAMS) }
    }

    async fn respond(&self, request: Request) -> Result<Response, Refused> {
        let uri = request.uri().clone();
        let parts = path::split(uri.path());
        if let Ok([only]) = parts.as_deref()
            && only == "healthz"
        {
            return health(request.method());
        }
        if self.options.token.as_ref().is_some_and(|token| !token.admits(request.headers())) {
            return Err(Refused::unauthorized());
        }
        let target = protocol::find(&parts?)?;
        let cache = self.open(&target)?;
        if uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(Refused::new(StatusCode::BAD_REQUEST, "this route takes no query"));
        }
        match *request.method() {
            Method::GET => download::get(&cache, target.digest).await,
            Method::HEAD => download::head(&cache, target.digest).await,
            Method::PUT => {
                is_whole(request.headers())?;
                let body = request.into_body();
                upload::put(&cache, target.digest, target.content, self.limits, &self.streams, body).await
            }
            Method::DELETE => {
                cache.evict(target.digest).await?;
                Ok(StatusCode::OK.into_response())
            }
            _ => Err(Refused::wrong_method()),
        }
    }

    /// The view of the namespace that a target lies in.
    fn open(&self, target: &Target<'_>) -> cache::Result<Cache> {
        let start = self.cache.namespace(&target.namespace)?;
        target.space.iter().try_fold(start, |cache, part| cache.namespace(part))
    }
}

/// Refuses an upload that is not, or may not be, the whole value as it is to be stored.
fn is_whole(headers: &HeaderMap) -> Result<(), Refused> {
    if headers.contains_key(CONTENT_RANGE) {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "a part cannot be put, only the whole"));
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        let text = "a coded body would be served without its coding";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    if headers
        .get(TRANSFER_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Refused::new(StatusCode::NOT_IMPLEMENTED, "of transfer codings only chunked is known"));
    }
    if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refused::new(StatusCode::LENGTH_REQUIRED, "the length must be announced"));
    }
    Ok(())
}

fn health(method: &Method) -> Result<Response, Refused> {
    match *method {
        Method::GET | Method::HEAD => Ok("ok".into_response()),
        _ => Err(Refused::wrong_method()),
    }
}
