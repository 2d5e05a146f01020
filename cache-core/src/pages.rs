use futures::{
    FutureExt, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use crate::{EntryMeta, ListOptions, Result};

/// [`KeyManagement::list`](crate::KeyManagement::list) for stores that fetch their listings by pages.
///
/// `fetch` answers the first entries of those that its options ask for, up to their limit, which is at most
/// `page`. It is asked for a page when that is read, and each page begins after the last key of the one
/// before; an empty one ends the listing.
///
/// ```
/// # futures::executor::block_on(async {
/// use cache_core::{Digest, EntryMeta, Key, ListOptions, list_by_pages};
/// use futures::TryStreamExt;
///
/// let keys: std::collections::BTreeSet<_> = ["a", "b", "c"].map(|text| Key::from(Digest::of(text))).into();
/// let pages = list_by_pages(ListOptions::default(), 2, move |asked| {
///     let found = keys.iter().filter(|key| asked.admits(key)).take(asked.limit.unwrap_or(2));
///     let page = found.map(|key| EntryMeta::new(key.clone(), 1)).collect();
///     async { Ok(page) }
/// });
/// assert_eq!(pages.try_collect::<Vec<_>>().await?.len(), 3);
/// # Ok::<(), cache_core::Error>(())
/// # }).unwrap();
/// ```
pub fn list_by_pages<F>(
    options: ListOptions,
    page: usize,
    fetch: impl Fn(ListOptions) -> F + Send + 'static,
) -> BoxStream<'static, Result<EntryMeta>>
where
    F: Future<Output = Result<Vec<EntryMeta>>> + Send + 'static,
{
    let pages = stream::try_unfold((options, fetch), move |(mut rest, fetch)| {
        let asked = rest.clone().with_limit(rest.limit.map_or(page, |left| left.min(page)));
        fetch(asked).map(move |fetched| {
            let fetched = fetched?;
            let Some(last) = fetched.last() else { return Ok(None) };
            rest.limit = rest.limit.map(|left| left.saturating_sub(fetched.len()));
            rest.start_after = Some(last.key.clone());
            Ok(Some((stream::iter(fetched).map(Ok), (rest, fetch))))
        })
    });
    pages.try_flatten().fuse().boxed()
}

#[cfg(test)]
mod tests;
