use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use cache::Cache;

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
}

impl Service {
    fn new(cache: Cache, options: HttpOptions) -> Self {
        let store_max = cache.info().max_blob_bytes.unwrap_or(u64::MAX);
        let limits = Limits { bytes: options.max_body_bytes.min(store_max), idle: options.body_idle };
        Self { cache, options, limits }
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
                upload::put(&cache, target.digest, target.content, self.limits, request.into_body()).await
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

fn health(method: &Method) -> Result<Response, Refused> {
    match *method {
        Method::GET | Method::HEAD => Ok("ok".into_response()),
        _ => Err(Refused::wrong_method()),
    }
}
