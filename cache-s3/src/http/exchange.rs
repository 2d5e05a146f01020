use std::time::Duration;

use cache_core::{Error, Result};
use http::StatusCode;
use object_store::client::{HttpClient, HttpError, HttpErrorKind, HttpRequest};

use crate::failure::{Answer, from_object_store};

/// The answer to a request that object_store does not make.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Reply {
    /// What the answer says about a request that failed.
    pub(crate) fn answer(&self) -> Answer {
        Answer::new(self.status.as_u16(), &self.body)
    }

    /// The failure that the answer is.
    pub(crate) fn into_error(self) -> Error {
        let answer = self.answer();
        Error::new(answer.kind(), "", "").with_detail(answer.to_string())
    }
}

/// Makes a request, which has to be one that may be repeated, and makes it again after failures that pass.
pub(crate) async fn exchange(
    client: &HttpClient,
    retries: usize,
    request: impl Fn() -> object_store::Result<HttpRequest>,
) -> Result<Reply> {
    let mut pause = Duration::from_millis(50);
    let mut left = retries;
    loop {
        let result = attempt(client, request().map_err(from_object_store)?).await;
        let passing = match &result {
            Ok(reply) => reply.status.is_server_error() || [408, 429].contains(&reply.status.as_u16()),
            Err(error) => !matches!(error.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown),
        };
        if left == 0
            || !passing
            || matches!(&result, Ok(reply) if reply.status == StatusCode::NOT_IMPLEMENTED)
        {
            return result.map_err(failed);
        }
        left -= 1;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

async fn attempt(client: &HttpClient, request: HttpRequest) -> Result<Reply, HttpError> {
    let (parts, body) = client.execute(request).await?.into_parts();
    let body = String::from_utf8_lossy(&body.bytes().await?).into_owned();
    Ok(Reply { status: parts.status, body })
}

fn failed(error: HttpError) -> Error {
    from_object_store(object_store::Error::Generic { store: "", source: Box::new(error) })
}
