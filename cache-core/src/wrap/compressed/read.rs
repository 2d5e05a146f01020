//! One blob, from what the store below answers.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use super::{
    Compressed,
    feed::{Feed, cut},
    format::{Ends, FOOTER_BYTES, HEADER_BYTES, Header, SMALLEST_FRAME, Told},
    hop::hop,
    unpack::{INLINE_BYTES, told_in, unpack, unpack_stream},
};
use crate::{
    Blob, BlobName, ByteRange, ByteStream, Error, ErrorKind, GetOptions, Key, Result, Store, slice_range,
};

/// What came of a look at what is stored.
pub(super) enum Look<T> {
    Found(T),
    /// The entry was replaced between two reads, the first of which saw this header.
    Moved(Header),
    /// The entry went between two reads.
    Gone,
}

impl<S: Store> Compressed<S> {
    /// The content of what is stored as `blob`, or the part of it that is asked for. `before` is the
    /// header that a look before this one has seen.
    pub(super) async fn open(
        &self,
        key: &Key,
        name: &BlobName,
        stored: Blob,
        options: &GetOptions,
        before: Option<Header>,
    ) -> Result<Look<Blob>> {
        let stored_len = stored.total_len();
        let (len, checksum) = (stored.len(), stored.known_checksum());
        if let Some(bytes) = stored.bytes() {
            let bytes = bytes.clone();
            let content = self.open_bytes(key, name, bytes, options).await?;
            self.sizes.learn(key, name, stored_len, content.total_len());
            return Ok(Look::Found(in_parts(content, options.stream_above)));
        }
        let mut feed = Feed::new(stored.into_stream());
        let Some(header) = Header::read(feed.peek(HEADER_BYTES).await?)? else {
            self.sizes.learn(key, name, stored_len, len);
            if options.range.is_some()
                && let Some(part) = self.part_of(key, name, len, checksum, options).await?
            {
                return Ok(Look::Found(part));
            }
            let content = Blob::from_stream(len, len, feed.into_stream());
            let content = match checksum {
                Some(checksum) => content.with_checksum(checksum),
                None => content,
            };
            return self.within(content, options).await.map(Look::Found);
        };
        feed.take(HEADER_BYTES).await?;
        let told = match self.told_below(key, name, stored_len, header, before).await? {
            Look::Found(told) => self.admit(name, told)?,
            Look::Moved(header) => return Ok(Look::Moved(header)),
            Look::Gone => return Ok(Look::Gone),
        };
        self.sizes.learn(key, name, stored_len, told.len);
        self.within(self.unpacked(key, header, told, feed), options).await.map(Look::Found)
    }

    async fn open_bytes(
        &self,
        key: &Key,
        name: &BlobName,
        bytes: Bytes,
        options: &GetOptions,
    ) -> Result<Blob> {
        let Some(header) = Header::read(&bytes)? else { return self.own(&bytes, options) };
        let told = self.admit(name, told_in(header, &bytes)?)?;
        if told.len > options.stream_above.min(GetOptions::DEFAULT_STREAM_ABOVE) {
            // Little may become much.
            let mut feed = Feed::new(Blob::from_bytes(bytes).into_stream());
            feed.take(HEADER_BYTES).await?;
            return self.within(self.unpacked(key, header, told, feed), options).await;
        }
        let work = move || unpack(header, told, &bytes).map(Bytes::from);
        let content = hop(told.len <= INLINE_BYTES as u64, work).await?;
        Ok(Blob::part(told.len, slice_range(&content, options.range)?).with_checksum(told.checksum))
    }

    fn unpacked(&self, key: &Key, header: Header, told: Told, feed: Feed) -> Blob {
        let stream = self.drop_damaged(key, unpack_stream(header, told, feed));
        Blob::from_stream(told.len, told.len, stream).with_checksum(told.checksum)
    }

    /// Plain bytes in hand, which are the caller's alone.
    fn own(&self, bytes: &Bytes, options: &GetOptions) -> Result<Blob> {
        let part = slice_range(bytes, options.range)?;
        let part = if self.info.powers.shared_bytes { Bytes::copy_from_slice(&part) } else { part };
        Ok(Blob::part(bytes.len() as u64, part))
    }

    /// A part of a plain blob, read for itself, if it is certain that it is of the same content.
    async fn part_of(
        &self,
        key: &Key,
        name: &BlobName,
        len: u64,
        checksum: Option<crate::Checksum>,
        options: &GetOptions,
    ) -> Result<Option<Blob>> {
        if checksum.is_none() {
            return Ok(None);
        }
        let part = self.inner.get(key, name, options.clone()).await?;
        Ok(part.filter(|part| part.total_len() == len && part.known_checksum() == checksum))
    }

    /// The range of a whole blob that streams, in hand unless it is large.
    async fn within(&self, content: Blob, options: &GetOptions) -> Result<Blob> {
        let (total, checksum) = (content.total_len(), content.known_checksum());
        let range = options.range.unwrap_or(ByteRange::new(0, None)?).within(total)?;
        let len = range.end - range.start;
        let stream = if len == total { content.into_stream() } else { cut(content.into_stream(), range) };
        let part = Blob::from_stream(len, total, stream);
        let part =
            if len <= options.stream_above { Blob::part(total, part.collect(len).await?) } else { part };
        Ok(match checksum {
            Some(checksum) => part.with_checksum(checksum),
            None => part,
        })
    }

    /// What a frame of `stored` bytes tells, whose header was read; an open one tells it at its end.
    async fn told_below(
        &self,
        key: &Key,
        name: &BlobName,
        stored: u64,
        header: Header,
        before: Option<Header>,
    ) -> Result<Look<Told>> {
        if let Ends::Closed(told) = header.ends {
            return Ok(Look::Found(told));
        }
        let from = stored.saturating_sub(FOOTER_BYTES as u64);
        let Some((total, footer)) = self.read_part(key, name, from, FOOTER_BYTES as u64).await? else {
            return Ok(Look::Gone);
        };
        match header.read_footer(&footer) {
            Some(told) if total == stored => Ok(Look::Found(told)),
            // No two frames share a header that has a tag.
            None if before == Some(header) && total == stored => {
                Err(Error::corrupt("the footer of a compressed blob is damaged"))
            }
            _ => Ok(Look::Moved(header)),
        }
    }

    /// Some bytes of what is stored and the length of all; no bytes if it ends before them.
    async fn read_part(
        &self,
        key: &Key,
        name: &BlobName,
        from: u64,
        len: u64,
    ) -> Result<Option<(u64, Bytes)>> {
        let range = ByteRange::new(from, Some(from.saturating_add(len)))?;
        match self.inner.get(key, name, GetOptions::default().quietly().with_range(range)).await {
            Ok(Some(part)) => {
                let total = part.total_len();
                Ok(Some((total, part.collect(len).await?)))
            }
            Ok(None) => Ok(None),
            // It has become shorter since its length was told.
            Err(error) if error.kind() == ErrorKind::Invalid && from > 0 => Ok(Some((0, Bytes::new()))),
            Err(error) => Err(error),
        }
    }

    /// The length of the content of a blob that is stored in so many bytes.
    pub(super) async fn len_below(
        &self,
        key: &Key,
        name: &BlobName,
        stored: u64,
        before: Option<Header>,
    ) -> Result<Look<u64>> {
        if stored < SMALLEST_FRAME {
            return Ok(Look::Found(stored));
        }
        let Some((total, start)) = self.read_part(key, name, 0, HEADER_BYTES as u64).await? else {
            return Ok(Look::Gone);
        };
        match Header::read(&start)? {
            None if total == stored => Ok(Look::Found(stored)),
            // Whatever it is now, the next look sees it.
            None => Ok(Look::Gone),
            Some(header) if total != stored => Ok(Look::Moved(header)),
            Some(header) => Ok(match self.told_below(key, name, stored, header, before).await? {
                Look::Found(told) => Look::Found(told.len),
                Look::Moved(header) => Look::Moved(header),
                Look::Gone => Look::Gone,
            }),
        }
    }

    fn admit(&self, name: &BlobName, told: Told) -> Result<Told> {
        match self.info.max_blob_bytes {
            Some(max) if told.len > max => Err(Error::new(ErrorKind::TooLarge, "", "")
                .with_detail(format!("blob {name} has {len} bytes, the limit is {max}", len = told.len))),
            _ => Ok(told),
        }
    }

    /// An error as it leaves this store. Of a damaged entry the rest goes, too.
    pub(super) async fn fail(&self, key: &Key, error: Error, operation: &'static str) -> Error {
        // What the store below has found damaged, it has dropped; it has signed its errors.
        let own = error.store().is_empty();
        let error = if own { error.at(self.info.kind.clone(), operation) } else { error };
        let error = if error.key().is_none() { error.with_key(key) } else { error };
        if !own || error.kind() != ErrorKind::Corrupt {
            return error;
        }
        match self.inner.evict(key).await {
            Ok(()) => error,
            Err(left) => error.with_source(left),
        }
    }

    fn drop_damaged(&self, key: &Key, stream: ByteStream) -> ByteStream {
        let (store, key) = (self.clone(), key.clone());
        stream
            .or_else(move |error| {
                let (store, key) = (store.clone(), key.clone());
                async move { Err(store.fail(&key, error, "get").await) }
            })
            .fuse()
            .boxed()
    }
}

/// A blob in hand as a stream, if so many bytes are not wanted in hand.
fn in_parts(content: Blob, stream_above: u64) -> Blob {
    if content.len() <= stream_above {
        return content;
    }
    let (len, total, checksum) = (content.len(), content.total_len(), content.known_checksum());
    let stream = Blob::from_stream(len, total, content.into_stream());
    match checksum {
        Some(checksum) => stream.with_checksum(checksum),
        None => stream,
    }
}
