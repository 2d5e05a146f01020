use std::ops::Bound;

use s3s::{S3Response, S3Result, dto, s3_error};

use super::{InMemory, etag, length, timestamp, whole_seconds};
use crate::contents::Object;

/// A page has no more, whatever is asked for.
const MAX_PAGE: usize = 1000;

/// The size of a page that is asked for.
pub(super) fn page(max: Option<i32>) -> S3Result<usize> {
    match max.map(usize::try_from) {
        None => Ok(MAX_PAGE),
        Some(Ok(max)) => Ok(max.min(MAX_PAGE)),
        Some(Err(_)) => Err(s3_error!(InvalidArgument, "a negative number of keys")),
    }
}

/// Where the next page begins: behind an object, or behind all that begin with a common prefix.
enum Position {
    Object(String),
    Prefix(String),
}

impl Position {
    fn token(&self) -> String {
        let (kind, name) = match self {
            Self::Object(name) => ('o', name),
            Self::Prefix(name) => ('p', name),
        };
        name.bytes().fold(kind.to_string(), |token, byte| token + &format!("{byte:02x}"))
    }

    fn of(token: &str) -> Option<Self> {
        let kind = token.chars().next().filter(|kind| ['o', 'p'].contains(kind))?;
        let digits = token.get(1..)?;
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Option<Vec<_>>>()?;
        let name = String::from_utf8(bytes).ok()?;
        Some(if kind == 'o' { Self::Object(name) } else { Self::Prefix(name) })
    }

    fn name(&self) -> &str {
        match self {
            Self::Object(name) | Self::Prefix(name) => name,
        }
    }

    /// Whether a name at or behind this was part of what came before.
    fn covers(&self, name: &str) -> bool {
        match self {
            Self::Object(last) => name <= last.as_str(),
            Self::Prefix(last) => name.starts_with(last.as_str()),
        }
    }
}

impl InMemory {
    fn listed(&self, name: &str, object: &Object) -> dto::Object {
        dto::Object {
            key: Some(name.to_owned()),
            e_tag: (!self.dialect.lists_without_etag).then(|| etag(&object.etag)),
            last_modified: Some(timestamp(if self.dialect.lists_whole_seconds {
                whole_seconds(object.modified)
            } else {
                object.modified
            })),
            size: Some(length(object.body.len())),
            ..Default::default()
        }
    }

    pub(super) fn list(
        &self,
        input: dto::ListObjectsV2Input,
    ) -> S3Result<S3Response<dto::ListObjectsV2Output>> {
        let max = page(input.max_keys)?;
        let begin = match &input.continuation_token {
            Some(token) => {
                let position = Position::of(token);
                Some(
                    position
                        .ok_or_else(|| s3_error!(InvalidArgument, "a continuation token of no listing"))?,
                )
            }
            None => input.start_after.clone().map(Position::Object),
        };
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let (mut contents, mut common) = (Vec::new(), Vec::new());
        let (mut last, mut truncated) = (None::<Position>, false);
        self.with(&input.bucket, |bucket| {
            let from = begin.as_ref().map_or(prefix, |begin| begin.name().max(prefix));
            let names = bucket.objects.range::<str, _>((Bound::Included(from), Bound::Unbounded));
            for (name, object) in names {
                if begin.as_ref().is_some_and(|begin| begin.covers(name))
                    || last.as_ref().is_some_and(|last| last.covers(name))
                {
                    continue;
                }
                let Some(rest) = name.strip_prefix(prefix) else { break };
                if contents.len() + common.len() == max {
                    truncated = max > 0;
                    break;
                }
                let cut = delimiter.and_then(|delimiter| Some(rest.find(delimiter)? + delimiter.len()));
                last = match cut.and_then(|cut| name.get(..prefix.len() + cut)) {
                    Some(shared) => {
                        common.push(dto::CommonPrefix { prefix: Some(shared.to_owned()) });
                        Some(Position::Prefix(shared.to_owned()))
                    }
                    None => {
                        contents.push(self.listed(name, object));
                        Some(Position::Object(name.clone()))
                    }
                };
            }
            Ok(())
        })?;
        let next = last.filter(|_| truncated).map(|last| last.token());
        Ok(S3Response::new(dto::ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + common.len()).ok(),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(truncated),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(common),
            continuation_token: input.continuation_token,
            delimiter: input.delimiter,
            name: Some(input.bucket),
            prefix: input.prefix,
            start_after: input.start_after,
            ..Default::default()
        }))
    }
}
