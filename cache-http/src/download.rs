use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue,
        header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG},
    },
    response::{IntoResponse, Response},
};
use cache::{Blob, BlobName, Cache, Digest, GetOptions};
use futures::{StreamExt, TryStreamExt, stream};

use crate::refused::Refused;

/// A larger body leaves while it is read; a smaller one is whole and verified before its header leaves.
const STREAM_ABOVE: u64 = 1 << 20;

/// Sends a blob. Damage that is found too late for a 404 cuts the connection short of the announced
/// length, so that no client takes the part for the whole.
pub(crate) async fn get(cache: &Cache, digest: Digest) -> Result<Response, Refused> {
    let options = GetOptions::default().with_stream_above(STREAM_ABOVE);
    let found = cache.get_with(digest, &BlobName::DATA, options).await?;
    let blob = found.ok_or_else(Refused::miss)?;
    let headers = describe(&blob);
    let body = match blob.bytes() {
        Some(bytes) => Body::from(bytes.clone()),
        None => {
            // The first piece is awaited while there is still a status to choose.
            let mut rest = blob.into_stream();
            let first = rest.try_next().await?;
            let whole = stream::iter(first.map(Ok)).chain(rest);
            Body::from_stream(whole.inspect_err(|error| {
                tracing::warn!(error = error.to_line(), "a download ended early");
            }))
        }
    };
    Ok((headers, body).into_response())
}

/// Tells what [`get`] would, without reading the body.
pub(crate) async fn head(cache: &Cache, digest: Digest) -> Result<Response, Refused> {
    let options = GetOptions::default().with_stream_above(0);
    let found = cache.get_with(digest, &BlobName::DATA, options).await?;
    let blob = found.ok_or_else(Refused::miss)?;
    Ok((describe(&blob), Body::empty()).into_response())
}

fn describe(blob: &Blob) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(blob.len()));
    let tag = blob.checksum().and_then(|checksum| HeaderValue::try_from(format!("\"{checksum}\"")).ok());
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    headers
}
