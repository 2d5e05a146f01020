//! What shared work answers, and what makes it the same.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::{Blob, BlobName, Checksum, PutOptions, PutOutcome, Result};

/// What a shared read answers.
pub(crate) type Found = Result<Option<FoundBlob>>;

/// What a shared computation answers.
pub(crate) type Computed = Result<ComputedBytes>;

/// What a shared put answers.
pub(crate) type Put = Result<PutOutcome>;

/// A blob in hand, or one that is too large to share.
#[derive(Clone, Debug)]
pub(crate) enum FoundBlob {
    InHand(Bytes, Option<Checksum>),
    /// The stream is the first one's who takes it; the others read for themselves.
    Stream(Arc<Mutex<Option<Blob>>>),
}

/// A value, and whether it was there already.
#[derive(Clone, Debug)]
pub(crate) struct ComputedBytes {
    pub(crate) bytes: Bytes,
    pub(crate) hit: bool,
}

/// What makes two puts of a key identical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PutContent {
    pub(crate) options: PutOptions,
    pub(crate) blobs: Vec<(BlobName, Bytes)>,
}

impl PutContent {
    /// Whether it can be the same: all but the bytes themselves are compared.
    pub(crate) fn resembles(&self, other: &Self) -> bool {
        self.options == other.options
            && self.blobs.len() == other.blobs.len()
            && self.blobs.iter().zip(&other.blobs).all(|(a, b)| a.0 == b.0 && a.1.len() == b.1.len())
    }
}
