use tokio::runtime::Handle;

use crate::{Error, ErrorKind, Result};

/// Runs `work` on a thread that may block, or right here where it is short or where there is no runtime.
///
/// A future that is dropped meanwhile leaves one piece of work behind, which touches nothing but its own
/// bytes.
pub(super) async fn hop<T: Send + 'static>(
    short: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let runtime = if short { None } else { Handle::try_current().ok() };
    let Some(runtime) = runtime else { return work() };
    runtime.spawn_blocking(work).await.unwrap_or_else(|lost| {
        let (kind, detail) = if lost.is_panic() {
            (ErrorKind::Internal, "compressing or decompressing has panicked")
        } else {
            (ErrorKind::Unavailable, "the runtime has ended")
        };
        Err(Error::new(kind, "", "").with_detail(detail).with_source(lost))
    })
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let panics = hop::<()>(false, || panic!("on purpose")).await;
        assert_eq!(panics.unwrap_err().kind(), ErrorKind::Internal);
    }

    #[test]
    fn work_of_a_runtime_that_ended_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let _inside = handle.enter();
        let lost = hop(false, || Ok(1)).now_or_never().unwrap();
        assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn work_outside_a_runtime_is_done_here() {
        assert_eq!(
            hop(false, || Ok(std::thread::current().id())).now_or_never().unwrap().unwrap(),
            std::thread::current().id()
        );
    }

    #[tokio::test]
    async fn only_long_work_leaves_the_thread() {
        let here = std::thread::current().id();
        assert_eq!(hop(true, || Ok(std::thread::current().id())).await.unwrap(), here);
        assert_ne!(hop(false, || Ok(std::thread::current().id())).await.unwrap(), here);
    }
}
