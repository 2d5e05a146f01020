//! Bytes of objects, of one version.

use std::{
    ops::Range,
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use cache_core::{Error, ErrorKind, Key, Result};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use tokio::time::{Instant, timeout};

use crate::{
    engine::Engine,
    failure::{Absence, Failure, absence},
    object::{FOOTER, Index},
};

/// How much is read of the end of an object at first: enough for an entry of 1 MiB and all that stands around it.
pub(crate) const FIRST_READ: u64 = (1 << 20) + (64 << 10);
/// Enough for the index of nearly every entry.
pub(crate) const INDEX_READ: u64 = 16 << 10;
/// Enough to see that it is an entry.
pub(crate) const FOOTER_READ: u64 = FOOTER as u64;
/// An index that is told to be longer is damaged.
pub(crate) const MAX_INDEX: u64 = 64 << 20;

/// What tells two objects of one name apart.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) e_tag: Option<String>,
    /// A number that some services give to each.
    pub(crate) number: Option<String>,
    modified: SystemTime,
    pub(crate) bytes: u64,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        Self {
            e_tag: meta.e_tag.clone(),
            number: meta.version.clone(),
            modified: meta.last_modified.into(),
            bytes: meta.size,
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes
            && match (&self.e_tag, &other.e_tag) {
                (Some(ours), Some(theirs)) => ours == theirs,
                _ => self.modified == other.modified,
            }
    }
}

/// The end of an object.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) version: Version,
    /// Where it begins.
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

impl Tail {
    /// What is at hand of a range of the object.
    pub(crate) fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let at = |place: u64| usize::try_from(place.checked_sub(self.start)?).ok();
        let (start, end) = (at(range.start)?, at(range.end)?);
        (start <= end && end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}

/// An entry whose index was read.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) tail: Tail,
    pub(crate) index: Index,
}

/// Pieces of an object as they come.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, Failure>>;

impl Engine {
    /// The last bytes of an entry's object, so many or all; `None` if there is no object.
    pub(crate) async fn tail(&self, operation: &'static str, key: &Key, want: u64) -> Result<Option<Tail>> {
        let path = self.path(key)?;
        let found = self.tail_of(operation, &path, want).await;
        found.map_err(|failure| self.error(failure, operation, key))
    }

    pub(crate) async fn tail_of(
        &self,
        operation: &'static str,
        path: &Path,
        want: u64,
    ) -> Result<Option<Tail>, Failure> {
        if self.has_suffixes() {
            let read = self.client.call(operation, want, |handles| {
                let path = path.clone();
                async move { suffix(&*handles.objects, &path, want).await }
            });
            match read.await {
                Ok(tail) => return Ok(Some(tail)),
                Err(failure) if failure.is_unsupported() => {
                    self.knows_suffixes.store(false, Ordering::Relaxed);
                }
                // As of an empty object: it has no last bytes, or they are all that it has.
                Err(failure) if failure.is_out_of_range() || failure.is_whole() => {}
                Err(failure) => return absent(failure),
            }
        }
        let read = self.client.call(operation, want, |handles| {
            let path = path.clone();
            async move { from_the_start(&*handles.objects, &path, want).await }
        });
        match read.await {
            Ok(tail) => Ok(Some(tail)),
            Err(failure) => absent(failure),
        }
    }

    /// An entry's index, and so many bytes of the end of its object; `None` if there is no object.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) with the version that is damaged, apart from what the server fails with.
    pub(crate) async fn opened(
        &self,
        operation: &'static str,
        key: &Key,
        want: u64,
    ) -> Result<Option<Result<Opened, (Error, Version)>>> {
        let mut want = want;
        loop {
            let Some(tail) = self.tail(operation, key, want).await? else { return Ok(None) };
            let damaged = |error: Error| {
                let error = error.at("s3", operation).with_key(key);
                let (kind, version) = (error.kind(), tail.version.clone());
                // What a newer program wrote is not to be removed.
                if kind == ErrorKind::Corrupt { Ok(Some(Err((error, version)))) } else { Err(error) }
            };
            let footer =
                tail.bytes.len().checked_sub(FOOTER).and_then(|at| tail.bytes.get(at..)).unwrap_or_default();
            let needed = match Index::len_before(footer, tail.version.bytes) {
                Ok(len) => len.saturating_add(FOOTER as u64),
                Err(error) => return damaged(error),
            };
            if needed > tail.bytes.len() as u64 && needed <= MAX_INDEX {
                want = needed;
                continue;
            }
            return match Index::decode(key, &tail.bytes, tail.version.bytes) {
                Ok(index) => Ok(Some(Ok(Opened { tail, index }))),
                Err(error) => damaged(error),
            };
        }
    }

    /// Pieces of a range of an entry's object, what is at hand of it last; `None` if the object is another one by now.
    pub(crate) async fn range(
        &self,
        operation: &'static str,
        key: &Key,
        tail: &Tail,
        range: Range<u64>,
    ) -> Result<Option<Pieces>> {
        if let Some(bytes) = tail.slice(&range) {
            return Ok(Some(stream::iter([Ok(bytes)]).boxed()));
        }
        let path = self.path(key)?;
        let middle = range.end.min(tail.start);
        let rest = if middle < range.end { tail.slice(&(middle..range.end)) } else { None };
        let far = range.start..middle;
        let opened = self.client.call(operation, 0, |handles| {
            let (path, version, far) = (path.clone(), tail.version.clone(), far.clone());
            async move { pieces(&*handles.objects, &path, &version, far).await }
        });
        let opened = opened.await.map_err(|failure| self.error(failure, operation, key))?;
        Ok(opened.map(|pieces| pieces.chain(stream::iter(rest.map(Ok))).boxed()))
    }

    /// The next piece. `patience` is how long the server may still be waited for: whoever reads may take his time.
    pub(crate) async fn next_piece(
        &self,
        operation: &'static str,
        pieces: &mut Pieces,
        patience: &mut Duration,
    ) -> Result<Option<Bytes>, Failure> {
        let (asked, left) = (Instant::now(), *patience);
        let next = async {
            let late = self.client.late(operation);
            timeout(left, pieces.try_next()).await.unwrap_or(Err(late))
        };
        let next = self.client.within(operation, 0, next).await;
        *patience = left.saturating_sub(asked.elapsed());
        next
    }

    /// The bytes of a range of an entry's object; `None` if the object is another one by now.
    pub(crate) async fn bytes(
        &self,
        operation: &'static str,
        key: &Key,
        tail: &Tail,
        range: Range<u64>,
    ) -> Result<Option<Bytes>> {
        if let Some(bytes) = tail.slice(&range) {
            return Ok(Some(bytes));
        }
        let Some(pieces) = self.range(operation, key, tail, range.clone()).await? else { return Ok(None) };
        let len = range.end.saturating_sub(range.start);
        let collected = self.client.within(operation, len, collect(pieces, len)).await;
        collected.map(Some).map_err(|failure| self.error(failure, operation, key))
    }
}

/// How often a read begins again because what it reads was replaced meanwhile.
pub(crate) const CHANGES: usize = 20;

fn absent<T>(failure: Failure) -> Result<Option<T>, Failure> {
    if failure.absence() == Some(Absence::Object) { Ok(None) } else { Err(failure) }
}

async fn suffix(objects: &dyn ObjectStore, path: &Path, want: u64) -> Result<Tail, Failure> {
    let options = GetOptions { range: Some(GetRange::Suffix(want)), ..GetOptions::default() };
    let result = objects.get_opts(path, options).await?;
    let (version, range) = (Version::of(&result.meta), result.range.clone());
    let len = range.end.saturating_sub(range.start);
    // Less would look like damage.
    if len != want.min(version.bytes) || range.end != version.bytes {
        return Err(unexpected("another range than the one that was asked for"));
    }
    Ok(Tail { version, start: range.start, bytes: collect(stream_of(result), len).await? })
}

/// The same where ranges are counted from the start: the first bytes, which tell how many there are, and mostly are all.
async fn from_the_start(objects: &dyn ObjectStore, path: &Path, want: u64) -> Result<Tail, Failure> {
    loop {
        let options = GetOptions { range: Some(GetRange::Bounded(0..want)), ..GetOptions::default() };
        let result = match objects.get_opts(path, options).await.map_err(Failure::from) {
            Ok(result) => result,
            // An object without bytes has no range.
            Err(failure) if failure.is_out_of_range() => {
                match objects.head(path).await {
                    Ok(meta) if meta.size == 0 => {
                        return Ok(Tail { version: Version::of(&meta), start: 0, bytes: Bytes::new() });
                    }
                    // It is another one by now, or gone.
                    Ok(_) => continue,
                    Err(error) if absence(&error).is_some() => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            Err(failure) => return Err(failure),
        };
        let version = Version::of(&result.meta);
        if result.range != (0..want.min(version.bytes)) {
            return Err(unexpected("another range than the one that was asked for"));
        }
        let first = collect_up_to(result, want).await?;
        if version.bytes <= want {
            return Ok(Tail { version, start: 0, bytes: first });
        }
        let range = version.bytes - want..version.bytes;
        // It may be replaced between the two requests: then once more, until the deadline.
        if let Some(pieces) = pieces(objects, path, &version, range.clone()).await? {
            return Ok(Tail { version, start: range.start, bytes: collect(pieces, want).await? });
        }
    }
}

/// `None` if the object is not of that version any more.
async fn pieces(
    objects: &dyn ObjectStore,
    path: &Path,
    version: &Version,
    range: Range<u64>,
) -> Result<Option<Pieces>, Failure> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        if_match: version.e_tag.clone(),
        ..GetOptions::default()
    };
    let result = match objects.get_opts(path, options).await.map_err(Failure::from) {
        Ok(result) => result,
        Err(failure) if failure.is_precondition() || failure.absence() == Some(Absence::Object) => {
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    // Not every server honours the condition.
    if !Version::of(&result.meta).is(version) {
        return Ok(None);
    }
    if result.range != range {
        return Err(unexpected("another range than the one that was asked for"));
    }
    Ok(Some(stream_of(result)))
}

/// The bytes of an answer, which must not be more than so many.
pub(crate) async fn collect_up_to(result: GetResult, most: u64) -> Result<Bytes, Failure> {
    let len = result.range.end.saturating_sub(result.range.start);
    if len > most {
        return Err(unexpected("more bytes than were asked for"));
    }
    collect(stream_of(result), len).await
}

fn stream_of(result: GetResult) -> Pieces {
    result.into_stream().map_err(Failure::from).boxed()
}

/// Collects so many bytes, no matter how many the server tells of.
async fn collect(mut pieces: Pieces, len: u64) -> Result<Bytes, Failure> {
    let short = || unexpected("fewer bytes than it told");
    let Some(first) = pieces.try_next().await? else {
        return if len == 0 { Ok(Bytes::new()) } else { Err(short()) };
    };
    let mut collected = BytesMut::new();
    let mut only = Some(first);
    let mut got = only.as_ref().map_or(0, Bytes::len) as u64;
    while got <= len {
        let Some(piece) = pieces.try_next().await? else {
            return match (got == len, only) {
                (true, Some(only)) => Ok(only),
                (true, None) => Ok(collected.freeze()),
                (false, _) => Err(short()),
            };
        };
        got = got.saturating_add(piece.len() as u64);
        if let Some(first) = only.take() {
            // Of a length that was asked for.
            collected.reserve(usize::try_from(len).unwrap_or(0).min(64 << 20));
            collected.extend_from_slice(&first);
        }
        collected.extend_from_slice(&piece);
    }
    Err(unexpected("more bytes than it told"))
}

pub(crate) fn unexpected(what: &str) -> Failure {
    let detail = format!("the server has answered {what}");
    Failure::from(Error::new(ErrorKind::Unavailable, "", "").with_detail(detail))
}
