//! One listing out of the tiers': the same key in several tiers is one entry.

use cache_core::{EntryMeta, Key, ListOptions, Place, Result};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::{WritePolicy, spill::Moving, tier::Tier};

/// Adds what a slower tier knows of the same entry.
pub(crate) fn combine(mut known: EntryMeta, tier: &Tier, slower: EntryMeta) -> EntryMeta {
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
    known.stored_bytes = if tier.counts_stored {
        // It is what budgets go by, and the slower tier is the one that has all of them.
        slower.stored_bytes
    } else {
        known.stored_bytes.saturating_add(slower.stored_bytes)
    };
    // A tier that is written later counts it as an access that the entry was handed to it.
    known.last_accessed = match tier.options.write {
        WritePolicy::Spill | WritePolicy::Behind => known.last_accessed.or(slower.last_accessed),
        _ => known.last_accessed.max(slower.last_accessed),
    };
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

/// The entry's places, under the tier's name. Where some tier does not tell when it was used last, none does: of what
/// lies in that one alone, it would seem to be long ago.
pub(crate) fn placed(tier: &Tier, mut meta: EntryMeta) -> EntryMeta {
    for place in &mut meta.places {
        *place = Place::new(tier.name.clone(), std::mem::take(&mut place.location));
    }
    if !tier.recency {
        meta.last_accessed = None;
    }
    meta
}

/// The entry with the bytes that the stack counts of it.
fn counted(tier: &Tier, mut meta: EntryMeta) -> EntryMeta {
    if tier.counts_stored {
        meta.stored_bytes = meta.counted_bytes();
    }
    meta
}

struct Head {
    tier: Tier,
    rest: BoxStream<'static, Result<EntryMeta>>,
    next: Option<EntryMeta>,
    ended: bool,
}

/// How many entries of the tier that evicts are listed at once.
const PAGE: usize = 1024;

/// The tiers' listings, merged; ends at the first error of any tier.
///
/// What is in the tier that evicts may move down meanwhile. So the others are listed page by page of that tier, and after
/// it and after what is in between: who has left that then is below.
pub(crate) fn list(
    tiers: &[Tier],
    moving: Option<Moving>,
    options: &ListOptions,
) -> BoxStream<'static, Result<EntryMeta>> {
    let limit = options.limit.unwrap_or(usize::MAX);
    let listed = match moving {
        None => merged(tiers.iter().map(|tier| (tier.clone(), tier.store.list(options.clone()))).collect()),
        Some(moving) => in_pages(tiers.to_vec(), moving, options.clone()),
    };
    listed.take(limit).fuse().boxed()
}

fn in_pages(
    tiers: Vec<Tier>,
    Moving { source, limbo }: Moving,
    options: ListOptions,
) -> BoxStream<'static, Result<EntryMeta>> {
    let page_size = PAGE.min(options.limit.unwrap_or(PAGE));
    let pages = stream::try_unfold(Some(options), move |options| {
        let (tiers, limbo) = (tiers.clone(), limbo.clone());
        async move {
            let Some(options) = options else { return Ok(None) };
            let Some(tier) = tiers.get(source) else { return Ok(None) };
            let page = tier.store.list(options.clone().with_limit(page_size));
            let mut page: Vec<EntryMeta> =
                page.try_collect().await.map_err(|error| tier.failed("list", error))?;
            let last = page.last().filter(|_| page.len() >= page_size).map(|meta| meta.key.clone());
            let is_on = |key: &Key| last.as_ref().is_none_or(|last| key <= last);
            let is_missing = |key: &Key| page.binary_search_by(|meta| meta.key.cmp(key)).is_err();
            let between = limbo.older(|key| options.admits(key) && is_on(key) && is_missing(key));
            page.extend(between);
            page.sort_by(|one, other| one.key.cmp(&other.key));
            let mut page = Some(page);
            let lists = tiers.iter().enumerate().map(|(at, tier)| {
                let listed = if at == source {
                    stream::iter(page.take().into_iter().flatten().map(Ok)).boxed()
                } else {
                    let last = last.clone();
                    let is_on = move |meta: &EntryMeta| last.as_ref().is_none_or(|last| meta.key <= *last);
                    let listed = tier.store.list(options.clone());
                    listed.try_take_while(move |meta| std::future::ready(Ok(is_on(meta)))).boxed()
                };
                (tier.clone(), listed)
            });
            let page = merged(lists.collect());
            Ok(Some((page, last.map(|last| options.with_start_after(last)))))
        }
    });
    pages.try_flatten().boxed()
}

fn merged(
    lists: Vec<(Tier, BoxStream<'static, Result<EntryMeta>>)>,
) -> BoxStream<'static, Result<EntryMeta>> {
    let heads: Vec<Head> =
        lists.into_iter().map(|(tier, rest)| Head { tier, rest, next: None, ended: false }).collect();
    stream::try_unfold(heads, |mut heads| async move {
        for head in &mut heads {
            if head.next.is_none() && !head.ended {
                let next = head.rest.try_next().await.map_err(|error| head.tier.failed("list", error))?;
                head.ended = next.is_none();
                head.next = next.map(|meta| counted(&head.tier, placed(&head.tier, meta)));
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
                    Some(known) => combine(known, &head.tier, meta),
                    None => meta,
                });
            }
        }
        if let Some(meta) = merged.as_mut().filter(|_| heads.iter().any(|head| head.tier.counts_stored)) {
            // What is not known of all entries is told of none: sums would mix two kinds of bytes.
            meta.bytes = None;
        }
        Ok(merged.map(|meta| (meta, heads)))
    })
    .boxed()
}
