//! Listings: by pages in the order of names where the service has them; else all, sorted here.

use std::{collections::VecDeque, sync::Arc};

use cache_core::{EntryMeta, Key, ListOptions, Result};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{ObjectMeta, list::PaginatedListOptions};

use crate::{engine::Engine, failure::Failure, fetch::unexpected};

/// As many as S3 lists in one request.
const PAGE: usize = 1000;
/// About what a page of answers takes, in bytes.
const PAGE_BYTES: u64 = 1 << 20;

/// A listing on its way.
struct Listing {
    engine: Arc<Engine>,
    options: ListOptions,
    /// What names begin with that are still to be listed, in order.
    ranges: VecDeque<String>,
    /// Where the next page of the first range begins.
    token: Option<String>,
    left: usize,
    /// The last entry that was listed.
    last: Option<Key>,
    /// Whether the last page had nothing that is asked for: then the next one is a whole one.
    was_in_vain: bool,
}

impl Engine {
    pub(crate) fn list(self: &Arc<Self>, options: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        let listing = Listing {
            engine: Arc::clone(self),
            ranges: self.layout.ranges(&options).into(),
            token: None,
            left: options.limit.unwrap_or(usize::MAX),
            last: None,
            was_in_vain: false,
            options,
        };
        stream::try_unfold(listing, |mut listing| async move {
            let page = listing.page().await.map_err(|error| error.at("s3", "list"))?;
            Ok::<_, cache_core::Error>(page.map(|page| (stream::iter(page.into_iter().map(Ok)), listing)))
        })
        .try_flatten()
        .fuse()
        .boxed()
    }

    /// The entry that an object is; `None` for a stranger.
    fn listed(&self, object: &ObjectMeta) -> Option<EntryMeta> {
        let mut meta = EntryMeta::new(self.layout.key(object.location.as_ref())?, object.size);
        meta.modified = Some(object.last_modified.into());
        Some(self.placed(meta))
    }
}

impl Listing {
    async fn page(&mut self) -> Result<Option<Vec<EntryMeta>>> {
        self.engine.gate.check("list")?;
        if self.left == 0 {
            return Ok(None);
        }
        if self.engine.client.handles().pages.is_none() {
            return self.whole().await;
        }
        let after = self.options.start_after.as_ref().map(|key| self.engine.layout.name(key));
        while let Some(range) = self.ranges.front().cloned() {
            // All of this range comes before.
            if after.as_ref().is_some_and(|after| *after > range && !after.starts_with(&range)) {
                self.ranges.pop_front();
                continue;
            }
            let options = PaginatedListOptions {
                offset: after.clone().filter(|after| *after > range),
                max_keys: Some(if self.was_in_vain { PAGE } else { self.left.min(PAGE) }),
                page_token: self.token.clone(),
                ..PaginatedListOptions::default()
            };
            let fetched = self.engine.client.call("list", PAGE_BYTES, |handles| {
                let (range, options) = (range.clone(), options.clone());
                async move {
                    let Some(pages) = handles.pages else { return Ok(None) };
                    pages.list_paginated(Some(&range), options).await.map(Some).map_err(Failure::from)
                }
            });
            let Some(fetched) = fetched.await.map_err(|failure| failure.at("list").into_error(None))? else {
                return self.whole().await;
            };
            let mut page: Vec<_> =
                fetched.result.objects.iter().filter_map(|object| self.engine.listed(object)).collect();
            let keys = self.last.iter().chain(page.iter().map(|meta| &meta.key));
            // Such a listing may have no end.
            let repeats = fetched.page_token.is_some() && fetched.page_token == self.token;
            if repeats || !keys.is_sorted_by(|before, after| before < after) {
                return Err(unexpected("a listing that is out of order").into_error(None));
            }
            self.last = page.last().map(|meta| meta.key.clone()).or(self.last.take());
            self.token = fetched.page_token;
            if self.token.is_none() {
                self.ranges.pop_front();
            }
            page.retain(|meta| self.options.admits(&meta.key));
            page.truncate(self.left);
            self.left -= page.len();
            self.was_in_vain = page.is_empty();
            if !self.was_in_vain {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// All that is left of the listing.
    async fn whole(&mut self) -> Result<Option<Vec<EntryMeta>>> {
        if self.ranges.is_empty() {
            return Ok(None);
        }
        self.ranges.clear();
        let directory = self.engine.layout.directory(&self.options.namespace);
        let mut objects = self.engine.client.handles().objects.list(directory.as_ref());
        let mut found = Vec::new();
        loop {
            let next = async { objects.try_next().await.map_err(Failure::from) };
            let next = self.engine.client.within("list", PAGE_BYTES, next).await;
            let Some(object) = next.map_err(|failure| failure.at("list").into_error(None))? else { break };
            found.extend(self.engine.listed(&object).filter(|meta| self.options.admits(&meta.key)));
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found.truncate(self.left);
        Ok(Some(found))
    }
}
