use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{CopyOptions, CopyReport, Tell};
use crate::{Namespace, Store, Usage};

/// How far a [copy](crate::StoreExt::copy_to) is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// Entries that are done.
    pub entries: u64,
    /// Entries that the source held at the beginning, those before the start included.
    pub of_entries: u64,
    /// Bytes that were copied or skipped.
    pub bytes: u64,
    /// Bytes that the source held at the beginning.
    pub of_bytes: u64,
    /// Entries that were copied.
    pub copied: u64,
    /// Entries that the target had already.
    pub skipped: u64,
}

/// What is told of how far it is.
pub(super) struct Progress {
    tell: Option<Tell>,
    bytes: AtomicU64,
    /// All but the bytes.
    at: Mutex<CopyProgress>,
}

impl Progress {
    pub(super) async fn begin<S: Store + ?Sized>(from: &S, scope: &Namespace, options: &CopyOptions) -> Self {
        let tell = options.progress.clone();
        // What cannot be counted can be copied as far as it can be read.
        let usage =
            if tell.is_some() { from.usage(scope).await.unwrap_or_default() } else { Usage::default() };
        let at = CopyProgress { of_entries: usage.entries, of_bytes: usage.bytes, ..CopyProgress::default() };
        let progress = Self { tell, bytes: AtomicU64::new(0), at: Mutex::new(at) };
        progress.told();
        progress
    }

    pub(super) fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.told();
    }

    pub(super) fn entry(&self, report: &CopyReport) {
        if self.tell.is_none() {
            return;
        }
        {
            let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
            (at.entries, at.copied, at.skipped) = (report.entries, report.copied, report.skipped);
        }
        self.told();
    }

    fn told(&self) {
        let Some(tell) = &self.tell else { return };
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tell(&CopyProgress { bytes: self.bytes.load(Ordering::Relaxed), ..at });
    }
}
