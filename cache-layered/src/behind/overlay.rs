//! The listing of a tier as it will be once it has what waits.

use std::{iter::Peekable, sync::Arc, vec};

use cache_core::{EntryMeta, Key, ListOptions, Result};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};

use super::{Shared, word::What};

/// A key that has a word: the entry, or nothing.
type Pending = (Key, Option<EntryMeta>);

struct Merge {
    pending: Peekable<vec::IntoIter<Pending>>,
    tier: BoxStream<'static, Result<EntryMeta>>,
    next: Option<EntryMeta>,
    ended: bool,
}

/// What waits is looked at before the tier is: a word goes only after the tier has it, so nothing is missed.
pub(super) fn list(shared: Arc<Shared>, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
    let limit = options.limit.unwrap_or(usize::MAX);
    let begun = async move {
        shared.open_for("list")?;
        let pending = pending(&shared, &options);
        let hidden = pending.iter().filter(|(_, entry)| entry.is_none()).count();
        // As many more as may turn out to be hidden.
        let tier = match options.limit {
            Some(limit) if limit > 0 => options.with_limit(limit.saturating_add(hidden)),
            _ => options,
        };
        let tier = shared.inner.list(tier);
        Ok(merged(Merge { pending: pending.into_iter().peekable(), tier, next: None, ended: false }))
    };
    stream::once(begun).try_flatten().take(limit).fuse().boxed()
}

fn pending(shared: &Shared, options: &ListOptions) -> Vec<Pending> {
    let queue = shared.queue();
    let words = queue.words_from(options.first()).take_while(|(key, _)| !options.ends_before(key));
    let mut room = options.limit.unwrap_or(usize::MAX);
    let mut pending = Vec::new();
    for (key, what) in words.filter(|(key, _)| options.admits(key)) {
        if room == 0 {
            break;
        }
        let entry = match what {
            What::Put(held) => Some(held.listed(&shared.info, key)),
            What::Evict => None,
        };
        room -= usize::from(entry.is_some());
        pending.push((key.clone(), entry));
    }
    pending
}

fn merged(merge: Merge) -> BoxStream<'static, Result<EntryMeta>> {
    stream::try_unfold(merge, |mut merge| async move {
        loop {
            if merge.next.is_none() && !merge.ended {
                merge.next = merge.tier.try_next().await?;
                merge.ended = merge.next.is_none();
            }
            let is_pending = match (merge.pending.peek(), &merge.next) {
                (Some((key, _)), Some(next)) => *key <= next.key,
                (pending, _) => pending.is_some(),
            };
            if !is_pending {
                return Ok(merge.next.take().map(|next| (next, merge)));
            }
            let Some((key, entry)) = merge.pending.next() else { return Ok(None) };
            // What the tier has of it is older.
            _ = merge.next.take_if(|next| next.key == key);
            if let Some(entry) = entry {
                return Ok(Some((entry, merge)));
            }
        }
    })
    .boxed()
}
