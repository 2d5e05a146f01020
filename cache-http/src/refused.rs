use std::borrow::Cow;

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use cache::{Error, ErrorKind, PutStatus, Refusal};

/// A request that is not served: a status and one line for whoever reads the client's log.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn miss() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such entry")
    }

    pub(crate) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such route")
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "a token is required: as bearer, or as the password of any user")
    }

    pub(crate) fn too_large(found: u64, max: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has {found} bytes or more, the limit is {max}"),
        )
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What a client is told of a put that a store did not store.
    pub(crate) fn of_put(status: PutStatus) -> Option<Self> {
        let PutStatus::Refused(reason) = status else { return None };
        let status = match reason {
            Refusal::Disabled => StatusCode::FORBIDDEN,
            Refusal::OverBudget => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Some(Self::new(status, reason.to_string()))
    }
}

impl From<&Error> for Refused {
    /// A client's own fault is explained; of a fault on this side it learns the kind, the log the rest.
    fn from(error: &Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Corrupt => return Self::miss(),
            ErrorKind::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            ErrorKind::Unavailable | ErrorKind::Locked | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_client_error() {
            return Self::new(status, error.to_string());
        }
        tracing::warn!(error = error.to_line(), "a request failed");
        Self::new(status, error.kind().to_string())
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let line = format!("{}\n", self.text.replace(char::is_control, " "));
        let plain = [(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
        let mut response = (self.status, plain, line).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                for challenge in ["Basic realm=\"cache\"", "Bearer realm=\"cache\""] {
                    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, PUT, DELETE"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests;
