use std::time::Duration;

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, CloseReport, Error, ErrorKind, GetOptions, Key, PutEntry, PutOptions, PutOutcome, Result,
    Store, StoreInfo,
};

use super::{
    Mutant,
    twist::{Twist, twist, twisted},
};
use crate::{Factory, Reference, ReferenceStore};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "claims_durability",
        fault: "It declares durability and ends with the process.",
        killed_by: &["reopen_finds_flushed_entries", "flush_tells_durability"],
        fresh: Reference::volatile,
        open: |reference, setup| twisted(ClaimsDurability(reference.store(setup)?)),
    },
    Mutant {
        id: "serves_after_close",
        fault: "Reads go on after `close`, and miss.",
        killed_by: &["closed_store_says_so"],
        fresh: Reference::default,
        open: |reference, setup| twisted(ServesAfterClose(reference.store(setup)?)),
    },
    Mutant {
        id: "blames_others_when_closed",
        fault: "A store that is closed says that it is unavailable.",
        killed_by: &["closed_store_says_so", "close_meets_operations_under_way"],
        fresh: Reference::default,
        open: |reference, setup| twisted(BlamesOthersWhenClosed(reference.store(setup)?)),
    },
    Mutant {
        id: "close_fails_with_a_deadline",
        fault: "A close with a deadline is a timeout.",
        killed_by: &["close_honours_a_deadline"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CloseFailsWithADeadline(reference.store(setup)?)),
    },
    Mutant {
        id: "close_is_a_crash",
        fault: "A close loses what was not flushed.",
        killed_by: &["close_is_no_crash"],
        fresh: Reference::default,
        open: |reference, setup| twisted(CloseIsACrash(reference.store(setup)?, reference.clone())),
    },
];

#[derive(Debug)]
struct ClaimsDurability(ReferenceStore);

#[async_trait]
impl Twist for ClaimsDurability {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        let mut info = self.0.info();
        info.powers.durable = true;
        info
    }
}

#[derive(Debug)]
struct ServesAfterClose(ReferenceStore);

#[async_trait]
impl Twist for ServesAfterClose {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        match self.0.get(key, blob, options).await {
            Err(error) if error.kind() == ErrorKind::Closed => Ok(None),
            found => found,
        }
    }
}

twist! { BlamesOthersWhenClosed {
    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        self.0.get(key, blob, options).await.map_err(blame)
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.0.put(key, entry, options).await.map_err(blame)
    }
} }

fn blame(error: Error) -> Error {
    if error.kind() == ErrorKind::Closed {
        Error::new(ErrorKind::Unavailable, "mutant", "call")
    } else {
        error
    }
}

twist! { CloseFailsWithADeadline {
    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        let report = self.0.close(None).await;
        if deadline.is_some() { Err(Error::new(ErrorKind::Timeout, "mutant", "close")) } else { report }
    }
} }

twist! { CloseIsACrash(Reference) {
    async fn close(&self, deadline: Option<Duration>) -> Result<CloseReport> {
        if let Some(handle) = self.1.crash() {
            handle.crash().await?;
        }
        self.0.close(deadline).await
    }
} }
