//! The suite on a server in a container.

use std::sync::{Mutex, PoisonError};

use libtest_mimic::Trial;

use crate::{
    bucket::InBucket,
    image::{Served, prune},
    trials::{Absent, suite},
};

static SHARED: Mutex<Option<Result<Served, Absent>>> = Mutex::new(None);

pub(crate) fn trials() -> Vec<Trial> {
    suite("container", 1, |_| {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.get_or_insert_with(Served::start) {
            Ok(served) => Ok(InBucket::new(served.address)),
            Err(absent) => Err(absent.clone()),
        }
    })
}

pub(crate) fn stop() {
    if let Some(Ok(served)) = SHARED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        served.remove();
        prune();
    }
}
