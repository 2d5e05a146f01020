use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Method, header};

use crate::Operation;

/// A request that came in, whatever was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// What it asks for.
    pub operation: Operation,
    /// Its method.
    pub method: Method,
    /// Its path, as sent.
    pub path: String,
    /// Its query, as sent; empty if there is none.
    pub query: String,
    /// The bytes of an object that it asks for, such as `bytes=-64`.
    pub range: Option<String>,
    /// Whether it is to be carried out on a condition only.
    pub conditional: bool,
    /// How many bytes it says that it brings.
    pub bytes: u64,
}

impl Request {
    pub(crate) fn of<B>(request: &http::Request<B>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        let text = |name: header::HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let conditions = ["if-match", "if-none-match", "x-goog-if-generation-match"];
        Self {
            operation: Operation::of(request.method(), uri, headers),
            method: request.method().clone(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            range: text(header::RANGE),
            conditional: conditions.iter().any(|name| headers.contains_key(*name)),
            bytes: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(0),
        }
    }
}

/// The requests of a server since it was started, or since [`clear`](Self::clear).
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<Request>>>);

impl Log {
    pub(crate) fn push(&self, request: Request) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    /// All requests, in the order in which they came.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there were of an operation.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.requests().iter().filter(|request| request.operation == operation).count()
    }

    /// How many there were of each operation.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Operation, usize> {
        let mut counts = BTreeMap::new();
        for request in self.requests() {
            *counts.entry(request.operation).or_default() += 1;
        }
        counts
    }

    /// Forgets them, and answers with them.
    pub fn clear(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
