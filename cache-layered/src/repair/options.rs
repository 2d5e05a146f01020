use std::{fmt, sync::Arc};

use cache_core::{VerifyOptions, VerifyProgress};

type Tell = Arc<dyn Fn(&RepairProgress) + Send + Sync>;

/// How to [`repair`](crate::LayeredStore::repair) a stack.
#[derive(Clone)]
#[non_exhaustive]
pub struct RepairOptions {
    /// Whether every copy is read through first, so that damage is found. On by default; what is missing or is another
    /// version is found without.
    pub verify: bool,
    /// So many entries that could not be repaired are named in the report; all are counted. 100 by default.
    pub max_keys: usize,
    progress: Option<Tell>,
}

impl Default for RepairOptions {
    fn default() -> Self {
        Self { verify: true, max_keys: 100, progress: None }
    }
}

impl RepairOptions {
    /// Sets whether every copy is read through first.
    #[must_use]
    pub fn with_verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sets how many entries that could not be repaired the report names.
    #[must_use]
    pub fn with_max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Has `tell` called now and then, up to once for each entry and each piece of a large blob: it must not block.
    #[must_use]
    pub fn with_progress(mut self, tell: impl Fn(&RepairProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(tell));
        self
    }

    pub(super) fn for_verify(&self) -> VerifyOptions {
        let options = VerifyOptions::default().with_max_keys(self.max_keys);
        match self.progress.clone() {
            Some(tell) => options.with_progress(move |verify| {
                tell(&RepairProgress { verify: Some(verify.clone()), ..RepairProgress::default() });
            }),
            None => options,
        }
    }

    pub(super) fn tell(&self, entries: u64, written: u64) {
        if let Some(tell) = &self.progress {
            tell(&RepairProgress { verify: None, entries, written });
        }
    }
}

impl fmt::Debug for RepairOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepairOptions")
            .field("verify", &self.verify)
            .field("max_keys", &self.max_keys)
            .finish_non_exhaustive()
    }
}

/// How far a [`repair`](crate::LayeredStore::repair) is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairProgress {
    /// How far the tier is whose copies are read through now; `None` once all are.
    pub verify: Option<VerifyProgress>,
    /// Entries whose copies were compared.
    pub entries: u64,
    /// Copies that were written because they were missing, or another version.
    pub written: u64,
}
