//! A tier that takes its time, or all of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache_core::{Guard, Operation, OperationHook, Result};

/// Goes before every call of a store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    latency: Duration,
    hangs: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
}

impl Wait {
    /// Every call is so much later.
    pub(crate) fn of(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    /// Whether calls are answered at all.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::Release);
    }

    /// How often values were asked for.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Acquire)
    }
}

#[async_trait]
impl OperationHook for Wait {
    async fn enter(&self, operation: &Operation) -> Result<Guard> {
        if matches!(operation.name, "get" | "get_entry") {
            self.reads.fetch_add(1, Ordering::AcqRel);
        }
        if self.hangs.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        Ok(Guard::none())
    }

    fn try_enter(&self, _operation: &Operation) -> Option<Guard> {
        None
    }
}
