use std::ops::Range;

use http::{HeaderMap, HeaderValue};
use s3s::{S3Request, S3Response, S3Result, dto, s3_error};

use super::{InMemory, collect, conditions::Asked, etag, length, present, timestamp};
use crate::{
    contents::{Body, Description, Object},
    gcs,
};

/// A name of more bytes is refused.
const MAX_NAME: usize = 1024;

pub(super) fn check_name(name: &str) -> S3Result<()> {
    if name.len() > MAX_NAME {
        return Err(s3_error!(KeyTooLongError, "Your key is too long"));
    }
    Ok(())
}

pub(super) fn blob(body: Body) -> dto::StreamingBlob {
    let pieces = body.pieces();
    if pieces.len() <= 1 {
        return s3s::Body::from(pieces.into_iter().next().unwrap_or_default()).into();
    }
    dto::StreamingBlob::wrap(futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

impl InMemory {
    /// Headers that only Google has.
    pub(super) fn headers(&self, object: &Object) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.dialect.gcs {
            headers.insert(gcs::GENERATION, HeaderValue::from(object.generation));
        }
        headers
    }

    /// The bytes that are asked for, if not all.
    fn range(&self, range: Option<dto::Range>, len: u64) -> S3Result<Option<Range<u64>>> {
        let Some(range) = range else { return Ok(None) };
        let suffix = matches!(range, dto::Range::Suffix { .. });
        if suffix && self.dialect.ignores_suffix_ranges {
            return Ok(None);
        }
        let refused = (suffix && self.dialect.refuses_suffix_ranges) || len == 0;
        match range.check(len) {
            Ok(range) if !refused => Ok(Some(range)),
            _ => Err(s3_error!(InvalidRange, "The requested range is not satisfiable")),
        }
    }

    pub(super) fn get(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        let input = request.input;
        let object = self.with(&input.bucket, |bucket| present(bucket, &input.key).cloned())?;
        let asked = Asked {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        self.check_get(&object, &asked)?;
        let len = object.body.len();
        let range = self.range(input.range, len)?;
        let content_range =
            range.as_ref().map(|range| format!("bytes {}-{}/{len}", range.start, range.end - 1));
        let headers = self.headers(&object);
        let body = match range {
            Some(range) => object.body.slice(range),
            None => object.body,
        };
        let output = dto::GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(body.len())),
            content_range,
            content_type: object.description.content_type,
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            metadata: object.description.metadata,
            body: Some(blob(body)),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) fn head(&self, input: &dto::HeadObjectInput) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        let object = self.with(&input.bucket, |bucket| present(bucket, &input.key).cloned())?;
        let asked = Asked {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        self.check_get(&object, &asked)?;
        let headers = self.headers(&object);
        let output = dto::HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(length(object.body.len())),
            content_type: object.description.content_type,
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            metadata: object.description.metadata,
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn put(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        let input = request.input;
        check_name(&input.key)?;
        self.with(&input.bucket, |_| Ok(()))?;
        let body = collect(input.body).await?;
        let description = Description { content_type: input.content_type, metadata: input.metadata };
        let object = Object::with_etag(body.clone(), body.etag(), description);
        let (tag, headers) = (etag(&object.etag), self.headers(&object));
        self.with(&input.bucket, |bucket| {
            let current = bucket.objects.get(&input.key);
            self.check_put(current, input.if_match.as_ref(), input.if_none_match.as_ref(), &request.headers)?;
            bucket.objects.insert(input.key, object);
            Ok(())
        })?;
        let output = dto::PutObjectOutput { e_tag: Some(tag), ..Default::default() };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) fn delete(
        &self,
        input: &dto::DeleteObjectInput,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        let gone = self.with(&input.bucket, |bucket| {
            if input.if_match.is_some() {
                self.check_put(
                    bucket.objects.get(&input.key),
                    input.if_match.as_ref(),
                    None,
                    &HeaderMap::new(),
                )?;
            }
            Ok(bucket.objects.remove(&input.key))
        })?;
        // Google tells what was not there, S3 does not.
        if gone.is_none() && self.dialect.gcs {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        }
        Ok(S3Response::new(dto::DeleteObjectOutput::default()))
    }

    pub(super) fn delete_all(
        &self,
        input: dto::DeleteObjectsInput,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        if input.delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "more than 1000 keys"));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let deleted = self.with(&input.bucket, |bucket| {
            let names = input.delete.objects.into_iter().map(|object| {
                bucket.objects.remove(&object.key);
                dto::DeletedObject { key: Some(object.key), ..Default::default() }
            });
            Ok(names.collect::<Vec<_>>())
        })?;
        let deleted = Some(deleted).filter(|_| !quiet);
        Ok(S3Response::new(dto::DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    pub(super) fn copy(
        &self,
        request: &S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        let input = &request.input;
        check_name(&input.key)?;
        let dto::CopySource::Bucket { bucket: from, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "only objects of buckets are copied"));
        };
        let object = self.with(from, |bucket| present(bucket, key).cloned())?;
        let copy = Object::with_etag(object.body, object.etag, object.description);
        let result = dto::CopyObjectResult {
            e_tag: Some(etag(&copy.etag)),
            last_modified: Some(timestamp(copy.modified)),
            ..Default::default()
        };
        self.with(&input.bucket, |bucket| {
            self.check_put(bucket.objects.get(&input.key), None, None, &request.headers)?;
            bucket.objects.insert(input.key.clone(), copy);
            Ok(())
        })?;
        let output = dto::CopyObjectOutput { copy_object_result: Some(result), ..Default::default() };
        Ok(S3Response::new(output))
    }
}
