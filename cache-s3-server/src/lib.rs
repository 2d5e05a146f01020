//! An S3 server in memory that fails on request, for tests.
//!
//! | You want to                                      | Look at                            |
//! |--------------------------------------------------|------------------------------------|
//! | serve buckets on a port of this machine          | [`Server`], [`ServerOptions`]      |
//! | know which requests were made                    | [`Log`], [`Request`]               |
//! | reach objects behind a client's back             | [`Contents`]                       |
//! | have requests fail, hang or get lost             | [`Server::fail`], [`Fault`], [`When`] |
//! | a server that keeps less of the protocol         | [`Dialect`]                        |
//! | disturb the bytes between a client and a server  | [`Proxy`], [`Disturbance`]         |
//! | answer every connection with bytes of your choice | [`Raw`], [`Answer`]               |
//!
//! Every server has a thread and a runtime of its own: any number of them stand side by side, and tests without a
//! runtime, or with one each, may share one.
//!
//! ```
//! use cache_s3_server::{Fault, Operation, Server, ServerOptions, When};
//!
//! let server = Server::start(ServerOptions::new().with_bucket("bucket"))?;
//! let endpoint = server.endpoint(); // http://127.0.0.1:41234
//! server.fail(Fault::slow_down(), When::nth(2).of(Operation::PutObject));
//! # let _ = endpoint;
//! # std::io::Result::Ok(())
//! ```

mod connections;
mod contents;
mod dialect;
mod fault;
mod forward;
mod gcs;
mod log;
mod operation;
pub mod program;
mod proxy;
mod raw;
mod s3;
mod server;
mod service;
mod worker;

pub use {
    contents::{Contents, OpenUpload},
    dialect::Dialect,
    fault::{Fault, When},
    log::{Log, Request},
    operation::Operation,
    proxy::{Direction, Disturbance, Proxy},
    raw::{Answer, Raw},
    server::{Server, ServerOptions},
};
