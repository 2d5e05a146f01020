use http::HeaderMap;
use s3s::{
    S3Error, S3Result,
    dto::{ETagCondition, Timestamp},
    s3_error,
};

use super::{InMemory, timestamp, whole_seconds};
use crate::contents::Object;

fn names(condition: &ETagCondition, object: &Object) -> bool {
    condition.as_etag().is_none_or(|etag| etag.value() == object.etag)
}

fn failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

/// The conditions of a get or a head.
pub(super) struct Asked<'a> {
    pub(super) if_match: Option<&'a ETagCondition>,
    pub(super) if_none_match: Option<&'a ETagCondition>,
    pub(super) if_modified_since: Option<&'a Timestamp>,
    pub(super) if_unmodified_since: Option<&'a Timestamp>,
}

impl InMemory {
    /// Whether what is there now lets a put or a copy go on.
    pub(super) fn check_put(
        &self,
        current: Option<&Object>,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
        headers: &HeaderMap,
    ) -> S3Result<()> {
        if self.dialect.ignores_conditions_on_put {
            return Ok(());
        }
        if let Some(condition) = if_match {
            match current {
                None => return Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
                Some(object) if !names(condition, object) => return Err(failed()),
                Some(_) => {}
            }
        }
        if let (Some(condition), Some(object)) = (if_none_match, current)
            && names(condition, object)
        {
            return Err(failed());
        }
        // None is generation 0.
        if let Some(wanted) = headers.get("x-goog-if-generation-match").filter(|_| self.dialect.gcs) {
            let found = current.map_or(0, |object| object.generation);
            if wanted.to_str().ok().and_then(|wanted| wanted.parse().ok()) != Some(found) {
                return Err(failed());
            }
        }
        Ok(())
    }

    /// Whether an object is one that a get or a head asks for.
    pub(super) fn check_get(&self, object: &Object, asked: &Asked<'_>) -> S3Result<()> {
        if self.dialect.ignores_conditions_on_get {
            return Ok(());
        }
        // Dates in headers have whole seconds.
        let modified = timestamp(whole_seconds(object.modified));
        let modified_by = |date: &Timestamp| modified <= *date;
        if asked.if_match.is_some_and(|condition| !names(condition, object))
            || asked.if_unmodified_since.is_some_and(|date| asked.if_match.is_none() && !modified_by(date))
        {
            return Err(failed());
        }
        if asked.if_none_match.is_some_and(|condition| names(condition, object))
            || asked.if_modified_since.is_some_and(|date| asked.if_none_match.is_none() && modified_by(date))
        {
            return Err(s3_error!(NotModified));
        }
        Ok(())
    }
}
