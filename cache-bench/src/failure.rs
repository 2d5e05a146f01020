//! Why a benchmark could not run. Nobody branches on it, so any error will do.

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What can fail in a benchmark.
pub(crate) type Result<T> = std::result::Result<T, Failure>;
