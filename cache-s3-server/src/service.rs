use std::sync::Arc;

use futures::future;
use http::{HeaderValue, Request as HttpRequest, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::{Body, HttpError, service::S3Service};

use crate::{Fault, Log, Request, dialect::Dialect, fault::Faults, forward::Forward, gcs};

/// Who carries requests out.
#[derive(Debug)]
pub(crate) enum Backend {
    /// This server itself.
    Own(S3Service),
    /// Another one.
    Other(Forward),
}

/// Answers requests, as far as no fault stands in the way.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) backend: Backend,
    pub(crate) dialect: Dialect,
    pub(crate) faults: Arc<Faults>,
    pub(crate) log: Log,
}

impl Service {
    pub(crate) async fn answer(&self, http: HttpRequest<Incoming>) -> Result<Response<Body>, HttpError> {
        let request = Request::of(&http);
        let fault = self.faults.next(&request);
        self.log.push(request);
        match fault {
            None => self.carry_out(http).await,
            Some(Fault::Refuse(status, code)) => {
                let body = format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                     <Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
                );
                Ok(instead(http, status, "application/xml", Body::from(body)).await)
            }
            Some(Fault::Answer(status, kind, body)) => {
                Ok(instead(http, status, kind, Body::from(body)).await)
            }
            Some(Fault::Drop) => Err(closed()),
            Some(Fault::LoseReply) => {
                self.carry_out(http).await?;
                Err(closed())
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.carry_out(http).await
            }
            Some(Fault::DelayReply(time)) => {
                let answer = self.carry_out(http).await;
                tokio::time::sleep(time).await;
                answer
            }
            Some(Fault::Hang) => future::pending().await,
        }
    }

    async fn carry_out(&self, mut http: HttpRequest<Incoming>) -> Result<Response<Body>, HttpError> {
        let s3 = match &self.backend {
            Backend::Own(s3) => s3,
            Backend::Other(other) => {
                return other.send(http).await.map_err(|error| HttpError::new(error.into()));
            }
        };
        if self.dialect.gcs {
            gcs::request(http.headers_mut());
        }
        let mut answer = s3.call(http.map(Body::from)).await?;
        if self.dialect.gcs {
            gcs::answer(answer.headers_mut());
        }
        Ok(answer)
    }
}

/// hyper closes a connection whose service fails.
fn closed() -> HttpError {
    HttpError::new("closed as the test wants it".into())
}

/// Takes all that a request brings, so that the client sees the answer instead of a closed connection.
async fn instead(
    http: HttpRequest<Incoming>,
    status: StatusCode,
    kind: &'static str,
    body: Body,
) -> Response<Body> {
    let mut rest = http.into_body();
    while let Some(Ok(_)) = rest.frame().await {}
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
