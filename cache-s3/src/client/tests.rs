use std::{
    error::Error as StdError,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cache_core::{Error, ErrorKind, Result};
use futures::future::join_all;
use object_store::{ObjectStore, memory::InMemory};

use super::{Client, RENEWAL_PAUSE};
use crate::{
    StoreOptions,
    provider::{Handles, Provider, Upload},
};

#[derive(Debug)]
struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(code) = self;
        write!(f, "Server returned non-2xx status code: 400 Bad Request: <Error><Code>{code}</Code></Error>")
    }
}

impl StdError for Refused {}

fn refused(code: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: Box::new(Refused(code)) }
}

/// Its connections are told apart by the stores that they hold.
#[derive(Debug, Default)]
struct Counting {
    connections: AtomicUsize,
    fixed: bool,
    fails: bool,
}

fn handles() -> Handles {
    let objects = Arc::new(InMemory::new());
    Handles { batches: objects.clone(), objects, pages: None }
}

#[async_trait]
impl Provider for Counting {
    fn connect(&self) -> Result<Handles> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        if self.fails { Err(Error::invalid("no credentials")) } else { Ok(handles()) }
    }

    fn renews(&self) -> bool {
        !self.fixed
    }

    fn location(&self, _: &str) -> String {
        String::new()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn uploads(&self, _: &str) -> Result<Vec<Upload>> {
        Ok(Vec::new())
    }

    async fn abort(&self, _: &Upload) -> Result<()> {
        Ok(())
    }
}

struct Setup {
    provider: Arc<Counting>,
    client: Client,
    /// What is refused.
    old: Arc<dyn ObjectStore>,
}

fn setup(provider: Counting) -> Setup {
    let provider = Arc::new(provider);
    let handles = handles();
    let old = handles.objects.clone();
    let options =
        StoreOptions::default().with_timeout(Duration::from_secs(3)).with_min_bytes_per_second(1000);
    let client = Client::new(Some(provider.clone()), handles, &options, "s3://bucket");
    Setup { provider, client, old }
}

impl Setup {
    async fn call(&self, code: &'static str) -> Result<()> {
        let call = self.client.call("get", 0, |handles| async move {
            tokio::task::yield_now().await;
            if Arc::ptr_eq(&handles.objects, &self.old) { Err(refused(code)) } else { Ok(()) }
        });
        call.await.map_err(|failure| failure.into_error(None))
    }

    fn connections(&self) -> usize {
        self.provider.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn expired_credentials_are_had_anew_once_for_all_callers() {
    let setup = setup(Counting::default());
    for result in join_all((0..100).map(|_| setup.call("ExpiredToken"))).await {
        result.unwrap();
    }
    assert_eq!(setup.connections(), 1);
    setup.call("ExpiredToken").await.unwrap();
    assert_eq!(setup.connections(), 1);
}

#[tokio::test]
async fn other_refusals_are_what_they_are() {
    let lasting = setup(Counting::default());
    assert_eq!(lasting.call("AccessDenied").await.unwrap_err().kind(), ErrorKind::Denied);
    let fixed = setup(Counting { fixed: true, ..Counting::default() });
    assert_eq!(fixed.call("ExpiredToken").await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!((lasting.connections(), fixed.connections()), (0, 0));
    let failing = setup(Counting { fails: true, ..Counting::default() });
    assert_eq!(failing.call("ExpiredToken").await.unwrap_err().kind(), ErrorKind::Denied);
    let none = Client::new(None, handles(), &StoreOptions::default(), "");
    let result: Result<(), _> = none.call("get", 0, |_| async { Err(refused("ExpiredToken")) }).await;
    assert_eq!(result.unwrap_err().into_error(None).kind(), ErrorKind::Denied);
}

#[tokio::test(start_paused = true)]
async fn new_credentials_that_are_refused_are_not_had_anew_at_once() {
    let setup = setup(Counting::default());
    let refuse = || async {
        let call = setup.client.call("get", 0, |_| async { Err::<(), _>(refused("ExpiredToken")) });
        call.await.unwrap_err()
    };
    for expected in [1, 1, 1] {
        refuse().await;
        assert_eq!(setup.connections(), expected);
    }
    tokio::time::advance(RENEWAL_PAUSE).await;
    refuse().await;
    assert_eq!(setup.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_which_its_bytes_move() {
    let setup = setup(Counting::default());
    for (bytes, seconds) in [(0, 3), (1, 3), (10_000, 13), (u64::MAX, 0)] {
        let hang = setup.client.call("get", bytes, |_| std::future::pending::<object_store::Result<()>>());
        if seconds == 0 {
            assert!(tokio::time::timeout(Duration::from_secs(1 << 20), hang).await.is_err());
            continue;
        }
        let begun = tokio::time::Instant::now();
        let error = hang.await.unwrap_err().into_error(None);
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Timeout, "get"));
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}

#[test]
fn outside_of_a_runtime_a_call_is_an_error() {
    let setup = setup(Counting::default());
    let error = futures::executor::block_on(setup.call("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
