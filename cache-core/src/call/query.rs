use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};

use crate::{
    Call, CallStore, CallTemplate, Error, ErrorKind, ListOptions, Result,
    call::{
        function::{is_function, namespace_of},
        read::Reading,
    },
};

/// The calls that a template matches, by function and then by digest, read one by one as they are asked
/// for.
///
/// A call that goes meanwhile is left out; one that is recorded meanwhile may be in or not. A record that
/// cannot be read is left out and [counted](Self::unreadable), or an error in its place if
/// [that was asked for](CallStore::report_unreadable). The stream goes on after any error but that of the
/// listing itself.
pub struct CallQuery {
    calls: BoxStream<'static, Result<Call>>,
    unreadable: Arc<AtomicU64>,
    store: std::borrow::Cow<'static, str>,
}

impl CallStore {
    /// The recorded calls that `template` matches. With the name of a function only that function's
    /// are listed, else all are. Nothing is read before the stream is polled.
    #[must_use]
    pub fn query(&self, template: &CallTemplate) -> CallQuery {
        let root = self.cache().address().clone();
        let options = match template.name() {
            Some(name) => namespace_of(&root, name).map(|namespace| ListOptions::of(&namespace)),
            None => Ok(ListOptions::below(&root)),
        };
        let unreadable = Arc::new(AtomicU64::new(0));
        let cache = self.cache().clone();
        let listing = stream::once(async move {
            match options {
                Ok(options) => cache.list_store(options),
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        });
        let (this, template, count) = (self.clone(), Arc::new(template.clone()), Arc::clone(&unreadable));
        let calls = listing.flatten().try_filter_map(move |entry| {
            let (this, template, count) = (this.clone(), Arc::clone(&template), Arc::clone(&count));
            let in_scope = is_function(&root, &entry.key.namespace);
            async move {
                if !in_scope {
                    return Ok(None);
                }
                match this.read(&entry.key, |call| template.matches(call)).await? {
                    Reading::Found(found) => Ok(Some(found.call)),
                    Reading::Unwanted | Reading::Gone => Ok(None),
                    Reading::Unreadable(error) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        this.judge(error).map(|()| None)
                    }
                }
            }
        });
        CallQuery { calls: calls.boxed(), unreadable, store: self.cache().info().kind }
    }
}

impl CallQuery {
    /// How many records could not be read so far.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// The one call that matches. Reads no further than to a second one.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if none does, [`Ambiguous`](ErrorKind::Ambiguous) if several do;
    /// else the first error of the stream.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn only(mut self) -> Result<Call> {
        let Some(first) = self.calls.try_next().await? else {
            let error = Error::new(ErrorKind::NotFound, self.store, "query");
            return Err(error.with_detail("no call matches the template"));
        };
        let Some(second) = self.calls.try_next().await? else { return Ok(first) };
        let detail = format!(
            "the template matches the calls {} of {:?} and {} of {:?}",
            first.lookup_key()?,
            first.name,
            second.lookup_key()?,
            second.name
        );
        Err(Error::new(ErrorKind::Ambiguous, self.store, "query").with_detail(detail))
    }

    /// The call that was recorded last; `None` if none matches. Reads them all and holds one.
    ///
    /// # Errors
    ///
    /// The first error of the stream.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn latest(mut self) -> Result<Option<Call>> {
        let mut latest: Option<Call> = None;
        while let Some(call) = self.calls.try_next().await? {
            if latest.as_ref().is_none_or(|latest| call.created >= latest.created) {
                latest = Some(call);
            }
        }
        Ok(latest)
    }

    /// How many calls match. Reads them all.
    ///
    /// # Errors
    ///
    /// The first error of the stream.
    ///
    /// # Cancel safety
    ///
    /// Reads only.
    pub async fn count(mut self) -> Result<usize> {
        let mut count = 0_usize;
        while self.calls.try_next().await?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}

impl Stream for CallQuery {
    type Item = Result<Call>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.calls.poll_next_unpin(context)
    }
}

impl fmt::Debug for CallQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallQuery").field("unreadable", &self.unreadable()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
