use std::sync::Arc;

use async_trait::async_trait;
use cache_conformance::{Factory, Setup};
use cache_core::{Error, ErrorKind, Result, Store};
use cache_shelf::Shelf;

/// Opens an empty shelf for each clause.
struct Fresh;

#[async_trait]
impl Factory for Fresh {
    async fn open(&self, setup: &Setup) -> Result<Arc<dyn Store>> {
        if setup.max_bytes.is_some() {
            let error = Error::new(ErrorKind::Unsupported, "shelf", "open");
            return Err(error.with_detail("it keeps no budget"));
        }
        Ok(Arc::new(Shelf::new(setup.max_blob_bytes)))
    }
}

mod conformance {
    cache_conformance::suite! { super::Fresh }
}

#[test]
fn one_group() {
    use cache_conformance::{CLAUSES, Outcome};

    let group: Vec<_> = CLAUSES.iter().filter(|clause| clause.group == "list").collect();
    assert!(!group.is_empty(), "there is no such group");
    for clause in group {
        assert_eq!(clause.run(Fresh), Outcome::Passed, "{}: {}", clause.id, clause.requirement);
    }
}

/// The same shelf, behind a decorator.
mod metered {
    use cache_conformance::Decorated;
    use cache_core::Metered;

    use super::*;

    cache_conformance::suite! { Decorated::new(Fresh, |store| Ok(Arc::new(Metered::new(store)))) }
}
