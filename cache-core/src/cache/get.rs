use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{BlobName, Cache, KeyRef, Result};

/// A read of a value, as a future by hand: what the compiler makes of an `async fn` keeps a hit in memory
/// from being inlined where it is awaited, which costs a tenth of it.
pub(super) struct Get<'a> {
    pub(super) cache: &'a Cache,
    pub(super) digest: KeyRef,
    /// What goes on once the value was not at hand.
    pub(super) slow: Option<BoxFuture<'a, Result<Option<Bytes>>>>,
}

impl Future for Get<'_> {
    type Output = Result<Option<Bytes>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.slow.is_none() {
            let hit = self.cache.hit(&self.digest, &BlobName::DATA);
            if hit.is_some() {
                return Poll::Ready(Ok(hit));
            }
        }
        self.go_on(context)
    }
}

impl Get<'_> {
    #[cold]
    #[inline(never)]
    fn go_on(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let (cache, digest) = (self.cache, self.digest);
        let slow = self.slow.get_or_insert_with(|| cache.get_boxed(digest, &BlobName::DATA));
        slow.as_mut().poll(context)
    }
}
