use s3s::{S3Request, S3Response, S3Result, dto, s3_error};

use super::{InMemory, collect, etag, list::page, object::check_name, timestamp};
use crate::contents::{Body, Bucket, Description, Object, Part, Upload, now};

fn open<'a>(bucket: &'a mut Bucket, object: &str, id: &str) -> S3Result<&'a mut Upload> {
    let upload = bucket.uploads.get_mut(&(object.to_owned(), id.to_owned()));
    upload.ok_or_else(|| s3_error!(NoSuchUpload, "The specified multipart upload does not exist."))
}

impl InMemory {
    pub(super) fn begin(
        &self,
        input: dto::CreateMultipartUploadInput,
    ) -> S3Result<S3Response<dto::CreateMultipartUploadOutput>> {
        check_name(&input.key)?;
        let id = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let description = Description { content_type: input.content_type, metadata: input.metadata };
        self.with(&input.bucket, |bucket| {
            let upload = Upload { begun: now(), description, parts: Default::default() };
            bucket.uploads.insert((input.key.clone(), id.clone()), upload);
            Ok(())
        })?;
        Ok(S3Response::new(dto::CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    pub(super) async fn part(
        &self,
        input: dto::UploadPartInput,
    ) -> S3Result<S3Response<dto::UploadPartOutput>> {
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000"));
        }
        self.with(&input.bucket, |bucket| open(bucket, &input.key, &input.upload_id).map(drop))?;
        let body = collect(input.body).await?;
        let part = Part { etag: body.etag(), body };
        let tag = etag(&part.etag);
        self.with(&input.bucket, |bucket| {
            open(bucket, &input.key, &input.upload_id)?.parts.insert(input.part_number, part);
            Ok(())
        })?;
        Ok(S3Response::new(dto::UploadPartOutput { e_tag: Some(tag), ..Default::default() }))
    }

    /// The object of the parts that are named.
    fn assemble(&self, upload: &Upload, parts: &[dto::CompletedPart]) -> S3Result<Object> {
        let mut found: Vec<&Part> = Vec::new();
        let mut last = 0;
        for (index, named) in parts.iter().enumerate() {
            let number = named.part_number.unwrap_or(0);
            if number <= last {
                return Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."));
            }
            last = number;
            let matches = |part: &&Part| named.e_tag.as_ref().is_some_and(|etag| etag.value() == part.etag);
            let Some(part) = upload.parts.get(&number).filter(matches) else {
                return Err(s3_error!(InvalidPart, "One or more of the specified parts could not be found."));
            };
            if part.body.len() < self.min_part_bytes && index + 1 < parts.len() {
                return Err(s3_error!(
                    EntityTooSmall,
                    "Your proposed upload is smaller than the minimum allowed size"
                ));
            }
            found.push(part);
        }
        if found.is_empty() {
            return Err(s3_error!(MalformedXML, "no parts"));
        }
        let tags: String = found.iter().map(|part| part.etag.as_str()).collect();
        let tag = format!("{}-{}", Body::from(bytes::Bytes::from(tags)).etag(), found.len());
        let body = found.iter().flat_map(|part| part.body.clone().pieces()).collect();
        Ok(Object::with_etag(body, tag, upload.description.clone()))
    }

    pub(super) fn complete(
        &self,
        request: S3Request<dto::CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<dto::CompleteMultipartUploadOutput>> {
        let input = request.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let (tag, headers) = self.with(&input.bucket, |bucket| {
            let object = self.assemble(open(bucket, &input.key, &input.upload_id)?, &parts)?;
            let current = bucket.objects.get(&input.key);
            self.check_put(current, input.if_match.as_ref(), input.if_none_match.as_ref(), &request.headers)?;
            bucket.uploads.remove(&(input.key.clone(), input.upload_id));
            let answer = (etag(&object.etag), self.headers(&object));
            bucket.objects.insert(input.key.clone(), object);
            Ok(answer)
        })?;
        let output = dto::CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(tag),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) fn abort(
        &self,
        input: dto::AbortMultipartUploadInput,
    ) -> S3Result<S3Response<dto::AbortMultipartUploadOutput>> {
        self.with(&input.bucket, |bucket| {
            open(bucket, &input.key, &input.upload_id)?;
            bucket.uploads.remove(&(input.key, input.upload_id));
            Ok(())
        })?;
        Ok(S3Response::new(dto::AbortMultipartUploadOutput::default()))
    }

    pub(super) fn uploads(
        &self,
        input: dto::ListMultipartUploadsInput,
    ) -> S3Result<S3Response<dto::ListMultipartUploadsOutput>> {
        let max = page(input.max_uploads)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let (object, id) = (input.key_marker.as_deref(), input.upload_id_marker.as_deref());
        let mut found = Vec::new();
        let mut truncated = false;
        self.with(&input.bucket, |bucket| {
            let below = bucket.uploads.iter().filter(|((name, _), _)| name.starts_with(prefix));
            let behind = below.filter(|((name, number), _)| match (object, id) {
                (None, _) => true,
                (Some(object), None) => name.as_str() > object,
                (Some(object), Some(id)) => (name.as_str(), number.as_str()) > (object, id),
            });
            for ((name, id), upload) in behind {
                if found.len() == max {
                    truncated = true;
                    break;
                }
                found.push(dto::MultipartUpload {
                    initiated: Some(timestamp(upload.begun)),
                    key: Some(name.clone()),
                    upload_id: Some(id.clone()),
                    ..Default::default()
                });
            }
            Ok(())
        })?;
        let last = found.last().filter(|_| truncated).cloned().unwrap_or_default();
        Ok(S3Response::new(dto::ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(truncated),
            key_marker: input.key_marker,
            max_uploads: i32::try_from(max).ok(),
            next_key_marker: last.key,
            next_upload_id_marker: last.upload_id,
            prefix: input.prefix,
            uploads: Some(found),
            ..Default::default()
        }))
    }
}
