//! One listing out of the tiers': the same key in several tiers is one entry.

use cache_core::{EntryMeta, ListOptions, Place, Result};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::tier::Tier;

/// Adds what a slower tier knows of the same entry.
pub(crate) fn combine(mut known: EntryMeta, slower: EntryMeta) -> EntryMeta {
    // A copy in a faster tier has one time for all blobs; the slower tier has each blob's own. While a put
    // goes from tier to tier, what the slower one has may be the version before.
    if !is_older(&slower, &known) {
        if slower.bytes.is_some() {
            known.bytes = slower.bytes;
            known.blobs = slower.blobs;
        }
        known.created = slower.created.or(known.created);
        known.modified = slower.modified.or(known.modified);
    }
    known.stored_bytes = known.stored_bytes.saturating_add(slower.stored_bytes);
    known.last_accessed = known.last_accessed.max(slower.last_accessed);
    known.access_count = known.access_count.max(slower.access_count);
    known.places.extend(slower.places);
    known
}

/// Whether the slower tier visibly has another version.
fn is_older(slower: &EntryMeta, known: &EntryMeta) -> bool {
    let sizes = |meta: &EntryMeta| -> Vec<_> {
        meta.blobs.iter().map(|blob| (blob.name.clone(), blob.bytes)).collect()
    };
    slower.bytes.is_some() && known.bytes.is_some() && sizes(slower) != sizes(known)
}

/// The entry's places, under the tier's name.
pub(crate) fn placed(tier: &Tier, mut meta: EntryMeta) -> EntryMeta {
    for place in &mut meta.places {
        *place = Place::new(tier.name.clone(), std::mem::take(&mut place.location));
    }
    meta
}

struct Head {
    tier: Tier,
    rest: BoxStream<'static, Result<EntryMeta>>,
    next: Option<EntryMeta>,
    ended: bool,
}

/// The tiers' listings, merged; ends at the first error of any tier.
pub(crate) fn list(tiers: &[Tier], options: &ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
    let heads: Vec<Head> = tiers
        .iter()
        .map(|tier| Head {
            tier: tier.clone(),
            rest: tier.store.list(options.clone()),
            next: None,
            ended: false,
        })
        .collect();
    stream::try_unfold(heads, |mut heads| async move {
        for head in &mut heads {
            if head.next.is_none() && !head.ended {
                let next = head.rest.try_next().await.map_err(|error| head.tier.failed("list", error))?;
                head.ended = next.is_none();
                head.next = next.map(|meta| placed(&head.tier, meta));
            }
        }
        let Some(smallest) =
            heads.iter().filter_map(|head| head.next.as_ref()).map(|meta| meta.key.clone()).min()
        else {
            return Ok(None);
        };
        let mut merged: Option<EntryMeta> = None;
        for head in &mut heads {
            if let Some(meta) = head.next.take_if(|meta| meta.key == smallest) {
                merged = Some(match merged {
                    Some(known) => combine(known, meta),
                    None => meta,
                });
            }
        }
        Ok(merged.map(|meta| (meta, heads)))
    })
    .take(options.limit.unwrap_or(usize::MAX))
    .fuse()
    .boxed()
}
