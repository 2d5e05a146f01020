//! What an object is made of: the blobs of a put, and those that stay of the entry that it changes.

use std::{cmp::Reverse, time::SystemTime};

use bytes::Bytes;
use cache_core::{BlobName, Error, ErrorKind, Key, Sealer};

use super::Stop;
use crate::{
    engine::Engine,
    failure::Failure,
    fetch::Opened,
    object::{Index, IndexedBlob},
    upload::Upload,
};

/// Blobs that stay of the old entry are read in pieces where they are larger.
const NEAR: u64 = 1 << 20;

enum Small {
    New(BlobName, Bytes),
    Kept(IndexedBlob, Bytes),
}

impl Small {
    fn len(&self) -> usize {
        match self {
            Self::New(_, bytes) | Self::Kept(_, bytes) => bytes.len(),
        }
    }
}

impl Engine {
    /// Adds what is in hand and what stays of the old entry; `None` if that is another one by now.
    pub(super) async fn compose(
        &self,
        key: &Key,
        mut upload: Upload,
        mut index: Index,
        new: Vec<(BlobName, Bytes)>,
        old: Option<Opened>,
        created: SystemTime,
    ) -> Result<Option<(Upload, Index)>, Stop> {
        let is_new =
            |name: &BlobName| new.iter().any(|(other, _)| other == name) || index.find(name).is_some();
        let kept: Vec<_> = old
            .iter()
            .flat_map(|old| old.index.places())
            .filter(|(blob, _)| !is_new(&blob.name))
            .map(|(blob, place)| (blob.clone(), place))
            .collect();
        let (mut near, mut far): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|(blob, _)| blob.bytes <= NEAR);
        far.sort_by_key(|(blob, _)| Reverse(blob.bytes));
        let old = old.as_ref();
        for (blob, place) in far {
            let Some(old) = old else { continue };
            let Some(mut pieces) = self.range("put", key, &old.tail, place.clone()).await? else {
                return Ok(None);
            };
            let mut left = place.end - place.start;
            let mut patience = self.client.deadline(left);
            while let Some(piece) = self.next_piece("put", &mut pieces, &mut patience).await? {
                left = left.checked_sub(piece.len() as u64).ok_or_else(|| wrong_length(key))?;
                upload.push(piece).await?;
            }
            if left > 0 {
                return Err(wrong_length(key).into());
            }
            index.blobs.push(blob);
        }
        let mut small = new.into_iter().map(|(name, bytes)| Small::New(name, bytes)).collect::<Vec<_>>();
        for (blob, place) in near.drain(..) {
            let Some(old) = old else { continue };
            let Some(sealed) = self.bytes("put", key, &old.tail, place).await? else { return Ok(None) };
            small.push(Small::Kept(blob, sealed));
        }
        small.sort_by_key(|small| Reverse(small.len()));
        for small in small {
            match small {
                Small::New(name, bytes) => {
                    push_sealed(&mut upload, &mut index, key, name, bytes, created).await?;
                }
                Small::Kept(blob, sealed) => {
                    upload.push(sealed).await?;
                    index.blobs.push(blob);
                }
            }
        }
        self.check_budget(upload.bytes())?;
        Ok(Some((upload, index)))
    }
}

/// Adds a blob that is in hand.
pub(super) async fn push_sealed(
    upload: &mut Upload,
    index: &mut Index,
    key: &Key,
    name: BlobName,
    bytes: Bytes,
    created: SystemTime,
) -> Result<(), Failure> {
    let mut sealer = Sealer::new(key, &name);
    sealer.update(&bytes);
    upload.push(Bytes::copy_from_slice(&sealer.header())).await?;
    let len = bytes.len() as u64;
    upload.push(bytes).await?;
    upload.push(sealer.finish().0.into()).await?;
    index.blobs.push(IndexedBlob { name, bytes: len, created });
    Ok(())
}

fn wrong_length(key: &Key) -> Error {
    Error::new(ErrorKind::Unavailable, "s3", "put")
        .with_detail("the server has answered another number of bytes than it told")
        .with_key(key)
}
