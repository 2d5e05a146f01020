//! Whether two copies of an entry are one version of it.

use bytes::{Buf, Bytes};
use cache_core::{Blob, BlobName, ByteStream, EntryMeta, GetOptions, Key, Result};
use futures::TryStreamExt;

use crate::tier::Tier;

/// Larger blobs are compared in pieces.
const IN_HAND: u64 = 64 << 10;

/// Whether they have the same blobs of the same lengths, as far as both tell.
pub(super) fn is_same_shape(one: &EntryMeta, other: &EntryMeta) -> bool {
    let shape = |meta: &EntryMeta| -> Vec<(BlobName, u64)> {
        meta.blobs.iter().map(|blob| (blob.name.clone(), blob.bytes)).collect()
    };
    shape(one) == shape(other)
}

/// Whether they were made by one put, as far as both tell.
pub(super) fn is_same_version(one: &EntryMeta, other: &EntryMeta) -> bool {
    is_same_shape(one, other) && one.modified.is_some() && one.modified == other.modified
}

/// Whether both tiers have the same bytes under the key.
pub(super) async fn is_same_value(key: &Key, one: &Tier, other: &Tier) -> Result<bool> {
    let options = GetOptions::default().quietly().with_stream_above(IN_HAND);
    let read = async |tier: &Tier| {
        let entry = tier.store.get_entry(key, options.clone()).await;
        entry.map_err(|error| tier.failed("repair", error))
    };
    let (Some(left), Some(right)) = (read(one).await?, read(other).await?) else { return Ok(false) };
    if left.blobs.len() != right.blobs.len() {
        return Ok(false);
    }
    for ((name, blob), (same_name, same_blob)) in left.blobs.into_iter().zip(right.blobs) {
        if name != same_name || !is_same_blob(blob, same_blob).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn is_same_blob(one: Blob, other: Blob) -> Result<bool> {
    if one.len() != other.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (one.into_stream(), other.into_stream());
    let (mut ahead, mut behind) = (Bytes::new(), Bytes::new());
    loop {
        let more = (refill(&mut left, &mut ahead).await?, refill(&mut right, &mut behind).await?);
        if more != (true, true) {
            return Ok(more == (false, false));
        }
        let len = ahead.len().min(behind.len());
        if ahead.slice(..len) != behind.slice(..len) {
            return Ok(false);
        }
        ahead.advance(len);
        behind.advance(len);
    }
}

/// Whether there are bytes left, in hand now.
async fn refill(stream: &mut ByteStream, piece: &mut Bytes) -> Result<bool> {
    while piece.is_empty() {
        match stream.try_next().await? {
            Some(next) => *piece = next,
            None => return Ok(false),
        }
    }
    Ok(true)
}
