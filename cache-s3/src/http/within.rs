use std::{future::Future, time::Duration};

use cache_core::Result;
use futures::future::Either;
use tokio::{runtime::Handle, time::timeout};

use crate::failure::Failure;

/// Runs what a provider does by itself within a deadline.
pub(crate) fn within<T>(
    deadline: Duration,
    operation: &'static str,
    work: impl Future<Output = Result<T>>,
) -> impl Future<Output = Result<T>> {
    if Handle::try_current().is_err() {
        return Either::Left(async move { Err(Failure::no_runtime(operation).into_error(None)) });
    }
    Either::Right(async move {
        match timeout(deadline, work).await {
            Ok(result) => result.map_err(|error| error.at(crate::STORE, operation)),
            Err(_) => Err(Failure::late(operation, deadline).into_error(None)),
        }
    })
}
