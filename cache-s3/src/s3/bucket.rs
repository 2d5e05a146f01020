use cache_core::{Error, ErrorKind, Result};
use http::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use object_store::{
    aws::AwsAuthorizer,
    client::{HttpRequest, HttpRequestBody},
    list::{PaginatedListOptions, PaginatedListStore},
};
use reqwest::Url;

use super::{DEFAULT_REGION, S3};
use crate::{
    failure::{Absence, absence, from_object_store, shorten},
    http::{Reply, exchange},
    provider::Provider,
};

/// Whether a bucket may have this name: on AWS its own rule, elsewhere whatever stays one part of a path.
pub(super) fn check_name(name: &str, aws: bool) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [name.bytes().next(), name.bytes().last()];
    let wrong = if name.is_empty() {
        "empty"
    } else if name.contains("..")
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    {
        "not letters, digits, dots and hyphens"
    } else if aws && !(3..=63).contains(&name.len()) || name.len() > 255 {
        "not 3 to 63 characters"
    } else if aws && name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        "has capital letters or underscores"
    } else if !ends.into_iter().flatten().all(|byte| plain(byte) || !aws && byte.is_ascii_alphanumeric()) {
        "does not begin and end with a letter or a digit"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("bucket: {wrong}")))
}

/// What somebody answered who does not speak S3.
pub(super) fn not_s3(what: &str, said: &str) -> Error {
    let said = shorten(said);
    Error::new(ErrorKind::Unavailable, "", "")
        .with_detail(format!("the answer is not {what} of S3; is the endpoint right? It said: {said}"))
}

enum Found {
    Bucket,
    Nothing,
}

impl S3 {
    /// Whether the bucket may be listed, which the store needs, and which without permission looks like a bucket
    /// where everything is missing. Makes it if the options say so.
    pub(super) async fn check_bucket(&self) -> Result<()> {
        if matches!(self.look().await?, Found::Bucket) {
            return Ok(());
        }
        if !self.options.auto_create {
            return Err(self.missing("set `auto_create` to have it made"));
        }
        self.create().await
    }

    fn missing(&self, advice: &str) -> Error {
        Error::new(ErrorKind::Unavailable, "", "")
            .with_detail(format!("there is no bucket `{}`: {advice}", self.options.bucket))
    }

    async fn look(&self) -> Result<Found> {
        if self.is_express() {
            return self.look_by_session().await;
        }
        // By prefix, as permissions may be.
        let prefix = &self.options.store.prefix;
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let query = [("list-type", "2"), ("max-keys", "1"), ("prefix", prefix.as_str())];
        let reply = self.send(&Method::GET, &query, String::new()).await?;
        let answer = reply.answer();
        match reply.status {
            // The connector takes nothing but a listing for one.
            status if status.is_success() => Ok(Found::Bucket),
            StatusCode::NOT_FOUND if answer.absence() == Absence::Bucket => Ok(Found::Nothing),
            StatusCode::NOT_FOUND => Err(not_s3("a listing", &answer.to_string())),
            StatusCode::FORBIDDEN => {
                let detail = format!("bucket `{}` may not be listed: {answer}", self.options.bucket);
                Err(Error::new(answer.kind(), "", "").with_detail(detail))
            }
            _ => Err(reply.into_error()),
        }
    }

    async fn look_by_session(&self) -> Result<Found> {
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        match self.connected()?.s3.list_paginated(None, options).await {
            Ok(_) => Ok(Found::Bucket),
            Err(error) if absence(&error) == Some(Absence::Bucket) => Ok(Found::Nothing),
            Err(error) => Err(from_object_store(error)),
        }
    }

    async fn create(&self) -> Result<()> {
        if self.is_express() {
            return Err(self.missing("a directory bucket is not made by `auto_create`"));
        }
        let region = &self.connected()?.region;
        let body = if [DEFAULT_REGION, "auto"].contains(&region.as_str()) {
            String::new()
        } else {
            format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            )
        };
        let reply = self.send(&Method::PUT, &[], body).await?;
        let answer = reply.answer();
        let mine = answer.code.as_deref() == Some("BucketAlreadyOwnedByYou");
        if reply.status == StatusCode::OK || mine {
            tracing::info!(bucket = self.options.bucket, "made the bucket");
            return Ok(());
        }
        // Somebody made it just now, or it is somebody else's.
        if reply.status == StatusCode::CONFLICT && matches!(self.look().await?, Found::Bucket) {
            return Ok(());
        }
        let detail = format!("bucket `{}` cannot be made: {answer}", self.options.bucket);
        Err(Error::new(answer.kind(), "", "").with_detail(detail))
    }

    /// Makes a request to the bucket itself, with new credentials if those at hand have expired.
    pub(super) async fn send(&self, method: &Method, query: &[(&str, &str)], body: String) -> Result<Reply> {
        let reply = self.send_once(method, query, &body).await?;
        if !reply.status.is_success() && reply.answer().is_expired() && self.renews() {
            self.connect_anew()?;
            return self.send_once(method, query, &body).await;
        }
        Ok(reply)
    }

    async fn send_once(&self, method: &Method, query: &[(&str, &str)], body: &str) -> Result<Reply> {
        let connected = self.connected()?;
        let mut url = Url::parse(&connected.url)
            .map_err(|_| Error::invalid("endpoint: makes no URL with the bucket"))?;
        if !query.is_empty() {
            url.query_pairs_mut()
                .extend_pairs(query.iter().filter(|(name, value)| *name == "uploads" || !value.is_empty()));
        }
        let credential = match self.options.anonymous {
            true => None,
            false => Some(connected.s3.credentials().get_credential().await.map_err(from_object_store)?),
        };
        let request = || {
            let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
            *request.method_mut() = method.clone();
            *request.uri_mut() = url.as_str().parse().map_err(|error| object_store::Error::Generic {
                store: "S3",
                source: Box::<dyn std::error::Error + Send + Sync>::from(error),
            })?;
            request.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            if !body.is_empty() {
                request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
            }
            if let Some(credential) = &credential {
                AwsAuthorizer::new(credential, "s3", &connected.region).try_authorize(&mut request, None)?;
            }
            Ok(request)
        };
        exchange(&self.connector.client(connected.allow_http), self.options.retries, request).await
    }
}
