use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;

use crate::{Operation, Request};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is not carried out, and answered with this status and an error of this code.
    Refuse(StatusCode, &'static str),
    /// It is not carried out, and answered with this status, type of contents and body.
    Answer(StatusCode, &'static str, Bytes),
    /// It is not carried out; its connection is closed without an answer.
    Drop,
    /// It is carried out, but its connection is closed without an answer.
    LoseReply,
    /// It is carried out so much later.
    Delay(Duration),
    /// It is neither carried out nor answered.
    Hang,
    /// It is carried out, and its answer is so much later.
    DelayReply(Duration),
}

impl Fault {
    /// 500 InternalError.
    #[must_use]
    pub fn internal_error() -> Self {
        Self::Refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")
    }

    /// 503 SlowDown.
    #[must_use]
    pub fn slow_down() -> Self {
        Self::Refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")
    }

    /// 429 TooManyRequests.
    #[must_use]
    pub fn too_many_requests() -> Self {
        Self::Refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")
    }

    /// 403 AccessDenied.
    #[must_use]
    pub fn access_denied() -> Self {
        Self::Refuse(StatusCode::FORBIDDEN, "AccessDenied")
    }

    /// 400 ExpiredToken, as S3 answers.
    #[must_use]
    pub fn expired_token() -> Self {
        Self::Refuse(StatusCode::BAD_REQUEST, "ExpiredToken")
    }

    /// 403 ExpiredToken, as some others answer.
    #[must_use]
    pub fn expired_token_forbidden() -> Self {
        Self::Refuse(StatusCode::FORBIDDEN, "ExpiredToken")
    }

    /// 404 NoSuchBucket.
    #[must_use]
    pub fn no_such_bucket() -> Self {
        Self::Refuse(StatusCode::NOT_FOUND, "NoSuchBucket")
    }

    /// 409 ConditionalRequestConflict.
    #[must_use]
    pub fn conflict() -> Self {
        Self::Refuse(StatusCode::CONFLICT, "ConditionalRequestConflict")
    }

    /// 200 with the page that a network asks for a log-in by.
    #[must_use]
    pub fn captive_portal() -> Self {
        let page = Bytes::from_static(b"<!DOCTYPE html><html><body>Please log in.</body></html>");
        Self::Answer(StatusCode::OK, "text/html", page)
    }
}

/// Which requests a fault is for, counted from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    nth: u64,
    times: Option<u64>,
    operation: Option<Operation>,
}

impl When {
    /// The `nth` one, once; 1 is the next one.
    #[must_use]
    pub fn nth(nth: u64) -> Self {
        Self { nth, times: Some(1), operation: None }
    }

    /// The `nth` one and all that follow.
    #[must_use]
    pub fn from(nth: u64) -> Self {
        Self { nth, times: None, operation: None }
    }

    /// All.
    #[must_use]
    pub fn always() -> Self {
        Self::from(1)
    }

    /// So many times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Counts requests of this operation only.
    #[must_use]
    pub fn of(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }
}

/// The faults to come; the earlier of two that are for one request is the one.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<(When, Fault)>>);

impl Faults {
    pub(crate) fn add(&self, when: When, fault: Fault) {
        if when.nth > 0 && when.times != Some(0) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((when, fault));
        }
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What becomes of the next request; every rule counts it.
    pub(crate) fn next(&self, request: &Request) -> Option<Fault> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = None;
        for (when, fault) in rules.iter_mut() {
            if when.operation.is_some_and(|operation| operation != request.operation) {
                continue;
            }
            if when.nth > 1 {
                when.nth -= 1;
                continue;
            }
            if found.is_none() {
                found = Some(fault.clone());
            }
            when.times = when.times.map(|times| times - 1);
        }
        rules.retain(|(when, _)| when.times != Some(0));
        found
    }
}
