//! Serves any [`Cache`](cache::Cache) over HTTP to build tools.
//!
//! For services that nest a cache into their own axum application ([`router`]), and for programs that
//! only serve one ([`serve`]).
//!
//! | Mount                                    | Who uses it                              | Stored in the namespace |
//! |------------------------------------------|------------------------------------------|-------------------------|
//! | `/{ns}/cas/{64 hex}`                     | anything; the name is the body's SHA-256 | `{ns}/cas`              |
//! | `/{ns}/ac/{64 hex}`                      | anything; the name says nothing          | `{ns}/ac`               |
//! | `/{ns}/bazel/cas/…`, `/{ns}/bazel/ac/…`  | `bazel --remote_cache=http://…`          | `{ns}/cas`, `{ns}/bazel/ac` |
//! | `/{ns}/ccache/{key}`                     | `ccache`, `remote_storage = http://…`    | `{ns}/ccache`           |
//! | `/healthz`                               | whoever watches the service              |                         |
//!
//! `{ns}` may be left out and is `default` then. Every mount takes GET, HEAD, PUT and DELETE. A PUT
//! that stored answers exactly 200, a read 200 or 404, or 5xx while the store cannot tell; an upload that
//! fails leaves the older value.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use axum::{Router, routing::get};
//!
//! let cache = cache::open("memory:?max_size=64MiB").await?;
//! let app = Router::new()
//!     .route("/", get(async || "a service with a cache"))
//!     .nest("/cache", cache_http::router(cache.clone()));
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let stop = std::future::ready(()); // or `async { tokio::signal::ctrl_c().await.unwrap_or(()) }`
//! cache_http::serve(listener, app).shutdown_on(stop).flush(cache).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! This crate never decides where bytes lie, and never speaks TLS.
#![doc(test(attr(deny(warnings), allow(dead_code))))]

mod connection;
mod download;
mod head_timer;
mod named_key;
mod options;
mod path;
mod protocol;
mod refused;
mod router;
mod serve;
mod token;
mod upload;

pub use {
    options::HttpOptions,
    router::{router, router_with},
    serve::{Serve, serve},
    token::Token,
};
