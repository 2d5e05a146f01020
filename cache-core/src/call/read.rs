//! Reads one stored call: of one version, and no large result that nobody wants.

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    Blob, BlobName, Call, CallStore, EntryRead, Error, ErrorKind, GetOptions, Key, Operation, Result,
    call::record, hook::within,
};

/// Blobs up to here come with the record; a larger result is read only if the call is wanted.
const AT_ONCE: u64 = 64 << 10;

pub(super) enum Reading {
    Found(Box<Found>),
    Unwanted,
    Gone,
    /// Damaged, of another version or no call at all.
    Unreadable(Error),
}

pub(super) struct Found {
    pub(super) call: Call,
    /// All blobs but the record.
    pub(super) blobs: Vec<(BlobName, Bytes)>,
}

impl CallStore {
    pub(super) async fn read(&self, key: &Key, wanted: impl Fn(&Call) -> bool + Send) -> Result<Reading> {
        let counters = self.cache().counters();
        let options = GetOptions::default().with_stream_above(AT_ONCE);
        let read = async {
            match self.cache().store().get_entry(key, options).await? {
                Some(entry) => self.take(entry, wanted).await.map(Some),
                None => Ok(None),
            }
        };
        let begun = Instant::now();
        let read = within(self.cache().hooks(), || Operation::read("get_entry", key), read).await;
        counters.get_took(begun.elapsed());
        let mismatched = matches!(&read, Err(error) if error.kind() == ErrorKind::Codec);
        if mismatched {
            counters.miss();
            counters.mismatch();
        } else {
            counters.read(&read, |(_, len)| *len);
        }
        match read {
            Ok(Some((Some(found), _))) => Ok(Reading::Found(Box::new(found))),
            Ok(Some((None, _))) => Ok(Reading::Unwanted),
            Ok(None) => Ok(Reading::Gone),
            Err(error) if mismatched || error.kind() == ErrorKind::Corrupt => {
                Ok(Reading::Unreadable(self.located(error, key)))
            }
            Err(error) => Err(error),
        }
    }

    /// The call, if it is wanted, and how many bytes were read.
    async fn take(
        &self,
        mut entry: EntryRead,
        wanted: impl Fn(&Call) -> bool + Send,
    ) -> Result<(Option<Found>, u64)> {
        let cap = self.cache().cap();
        let Some(data) = entry.take(&BlobName::DATA) else {
            return Err(Error::new(ErrorKind::Codec, "", "").with_detail("there is no record of a call"));
        };
        let data = data.collect(cap).await?;
        let mut len = data.len() as u64;
        let mut call = record::decode(&data)?;
        if !wanted(&call) {
            return Ok((None, len));
        }
        let mut blobs: Vec<(BlobName, Bytes)> = Vec::new();
        for (name, blob) in entry.blobs {
            let bytes = Blob::collect(blob, cap).await?;
            len = len.saturating_add(bytes.len() as u64);
            if let Some(result) = &mut call.result
                && name == record::result_name()
                && let Ok(value) = record::unwrap(&bytes)
            {
                *result = crate::Datum::from_parts(result.digest(), value);
            }
            blobs.push((name, bytes));
        }
        Ok((Some(Found { call, blobs }), len))
    }

    pub(super) fn located(&self, error: Error, key: &Key) -> Error {
        let error =
            if error.store().is_empty() { error.at(self.cache().info().kind, "get_entry") } else { error };
        if error.key().is_none() { error.with_key(key) } else { error }
    }
}
