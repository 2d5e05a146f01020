//! Stores that fail in ways that real ones do seldom.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cache::{
    Blob, BlobName, CleanPolicy, CleanReport, CloseReport, EntryMeta, EntryRead, Error, ErrorKind,
    FlushReport, GetOptions, Key, KeyManagement, KeyView, ListOptions, Metrics, Namespace, Powers, PutEntry,
    PutOptions, PutOutcome, Result, Store, StoreInfo, Usage,
};
use futures::{StreamExt, stream, stream::BoxStream};

/// Every operation fails with `kind`; a read first streams `pieces`, if there are to be any.
#[derive(Debug)]
pub(crate) struct Faulty {
    kind: ErrorKind,
    pieces: Option<usize>,
}

impl Faulty {
    pub(crate) const PIECE: usize = 64 * 1024;

    pub(crate) fn failing(kind: ErrorKind) -> Arc<Self> {
        Arc::new(Self { kind, pieces: None })
    }

    /// Streams so many of ten pieces, and then finds damage.
    pub(crate) fn torn(pieces: usize) -> Arc<Self> {
        Arc::new(Self { kind: ErrorKind::Corrupt, pieces: Some(pieces) })
    }

    fn fail<T>(&self, operation: &'static str) -> Result<T> {
        let cause = std::io::Error::other("cannot read /secret/place");
        Err(Error::new(self.kind, "faulty", operation).with_source(cause))
    }
}

#[async_trait]
impl KeyManagement for Faulty {
    async fn contains(&self, _: &Key) -> Result<bool> {
        self.fail("contains")
    }

    async fn evict(&self, _: &Key) -> Result<()> {
        self.fail("evict")
    }

    fn list(&self, _: ListOptions) -> BoxStream<'static, Result<EntryMeta>> {
        stream::iter([self.fail("list")]).boxed()
    }
}

#[async_trait]
impl Store for Faulty {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("faulty", "", Powers::default())
    }

    fn metrics(&self) -> Metrics {
        Metrics::default()
    }

    fn get_now(&self, _: KeyView<'_>, _: &BlobName) -> Option<bytes::Bytes> {
        None
    }

    async fn get(&self, _: &Key, _: &BlobName, _: GetOptions) -> Result<Option<Blob>> {
        let Some(pieces) = self.pieces else { return self.fail("get") };
        let whole = std::iter::repeat_n(vec![7; Self::PIECE], pieces).map(|piece| Ok(piece.into()));
        let stream = stream::iter(whole.chain([self.fail("get")])).boxed();
        let len = 10 * Self::PIECE as u64;
        Ok(Some(Blob::from_stream(len, len, stream)))
    }

    async fn get_entry(&self, _: &Key, _: GetOptions) -> Result<Option<EntryRead>> {
        self.fail("get_entry")
    }

    async fn put(&self, _: &Key, _: PutEntry, _: PutOptions) -> Result<PutOutcome> {
        self.fail("put")
    }

    async fn meta(&self, _: &Key) -> Result<Option<EntryMeta>> {
        self.fail("meta")
    }

    async fn usage(&self, _: &Namespace) -> Result<Usage> {
        self.fail("usage")
    }

    async fn clean(&self, _: &Namespace, _: &CleanPolicy) -> Result<CleanReport> {
        self.fail("clean")
    }

    async fn flush(&self) -> Result<FlushReport> {
        self.fail("flush")
    }

    async fn close(&self, _: Option<Duration>) -> Result<CloseReport> {
        self.fail("close")
    }
}
