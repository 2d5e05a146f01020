//! The operations of S3 over what is in memory.

mod conditions;
mod list;
mod multipart;
mod object;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::{S3, S3Request, S3Response, S3Result, dto, s3_error};

use crate::{
    Contents, Dialect,
    contents::{Body, Bucket, Object},
};

/// One bucket operation after the other: each is atomic.
#[derive(Clone, Debug)]
pub(crate) struct InMemory {
    pub(crate) contents: Contents,
    pub(crate) dialect: Dialect,
    /// How small a part may be that is not the last.
    pub(crate) min_part_bytes: u64,
}

impl InMemory {
    fn with<T>(&self, bucket: &str, f: impl FnOnce(&mut Bucket) -> S3Result<T>) -> S3Result<T> {
        match self.contents.lock().get_mut(bucket) {
            Some(bucket) => f(bucket),
            None => Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
    }
}

/// An object, or that it is not there.
fn present<'a>(bucket: &'a Bucket, name: &str) -> S3Result<&'a Object> {
    bucket.objects.get(name).ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
}

fn etag(value: &str) -> dto::ETag {
    dto::ETag::Strong(value.to_owned())
}

fn timestamp(time: SystemTime) -> dto::Timestamp {
    time.into()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

fn length(len: u64) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

/// All bytes of a request, or why they did not come.
async fn collect(body: Option<dto::StreamingBlob>) -> S3Result<Body> {
    use futures::TryStreamExt;
    let Some(body) = body else { return Ok(Body::default()) };
    let mut bytes = bytes::BytesMut::new();
    let mut body = std::pin::pin!(body);
    while let Some(chunk) =
        body.try_next().await.map_err(|error| s3_error!(IncompleteBody, "the body ends early: {error}"))?
    {
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body::from(bytes.freeze()))
}

#[async_trait::async_trait]
impl S3 for InMemory {
    async fn create_bucket(
        &self,
        request: S3Request<dto::CreateBucketInput>,
    ) -> S3Result<S3Response<dto::CreateBucketOutput>> {
        let name = request.input.bucket;
        let mut buckets = self.contents.lock();
        if buckets.contains_key(&name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "you already own it"));
        }
        let location = Some(format!("/{name}"));
        buckets.insert(name, Bucket::default());
        Ok(S3Response::new(dto::CreateBucketOutput { location }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<dto::HeadBucketInput>,
    ) -> S3Result<S3Response<dto::HeadBucketOutput>> {
        self.with(&request.input.bucket, |_| Ok(()))?;
        Ok(S3Response::new(dto::HeadBucketOutput::default()))
    }

    async fn get_object(
        &self,
        request: S3Request<dto::GetObjectInput>,
    ) -> S3Result<S3Response<dto::GetObjectOutput>> {
        self.get(request)
    }

    async fn head_object(
        &self,
        request: S3Request<dto::HeadObjectInput>,
    ) -> S3Result<S3Response<dto::HeadObjectOutput>> {
        self.head(&request.input)
    }

    async fn put_object(
        &self,
        request: S3Request<dto::PutObjectInput>,
    ) -> S3Result<S3Response<dto::PutObjectOutput>> {
        self.put(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<dto::DeleteObjectInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectOutput>> {
        self.delete(&request.input)
    }

    async fn delete_objects(
        &self,
        request: S3Request<dto::DeleteObjectsInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectsOutput>> {
        self.delete_all(request.input)
    }

    async fn copy_object(
        &self,
        request: S3Request<dto::CopyObjectInput>,
    ) -> S3Result<S3Response<dto::CopyObjectOutput>> {
        self.copy(&request)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<dto::ListObjectsV2Input>,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        self.list(request.input)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<dto::CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        self.begin(request.input)
    }

    async fn upload_part(
        &self,
        request: S3Request<dto::UploadPartInput>,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        self.part(request.input).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        self.complete(request)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<dto::AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        self.abort(request.input)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<dto::ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        self.uploads(request.input)
    }
}
