//! The container is killed, hangs and comes back, while a store uses it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cache_core::{BlobName, Digest, ErrorKind, GetOptions, Key, Result, Store, StoreExt};
use cache_s3::{S3Store, StoreOptions};
use libtest_mimic::{Completion, Failed, Trial};
use tokio::sync::Notify;

use crate::{
    bucket::options,
    image::{Served, runtime},
};

/// How long the operations of these stores may take, all attempts together.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn(&Served)| {
        Trial::ignorable_test(format!("container::{name}"), move || run(test))
    };
    vec![
        trial("killed_in_the_middle_of_puts_it_comes_back", killed_in_the_middle_of_puts_it_comes_back),
        trial("a_hung_server_costs_the_deadline_and_no_more", a_hung_server_costs_the_deadline_and_no_more),
    ]
}

fn run(test: fn(&Served)) -> Result<Completion, Failed> {
    let served = match Served::start() {
        Ok(served) => served,
        Err(absent) => return absent.verdict(),
    };
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&served)));
    served.remove();
    tried.map(|()| Completion::Completed).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
            .into()
    })
}

async fn open(served: &Served) -> Result<S3Store> {
    let store = StoreOptions::default().with_timeout(TIMEOUT);
    S3Store::open(options(&format!("http://{}", served.address), "bucket", store)).await
}

fn key(number: u64) -> Key {
    Key::from(Digest::of(number.to_string()))
}

fn data(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(2000)
}

/// Whether an entry is there; it is whole then.
async fn is_there(store: &dyn Store, number: u64) -> Result<bool> {
    match store.get(&key(number), &BlobName::DATA, GetOptions::default()).await? {
        Some(blob) => {
            assert!(blob.collect(1 << 20).await? == data(number), "other bytes");
            Ok(true)
        }
        None => Ok(false),
    }
}

fn assert_is_down(kind: ErrorKind) {
    assert!(matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout), "a server that is down is {kind:?}");
}

fn killed_in_the_middle_of_puts_it_comes_back(served: &Served) {
    runtime().block_on(async {
        let store = Arc::new(open(served).await.unwrap());
        let first = Notify::new();
        let putting = async {
            for number in 0_u64.. {
                if let Err(error) = store.put_bytes(&key(number), data(number).into()).await {
                    return (number, error);
                }
                first.notify_one();
            }
            unreachable!("puts never end")
        };
        let killed = async {
            first.notified().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            served.container.stop_with_timeout(Some(0)).await.unwrap();
        };
        let begin = Instant::now();
        let ((stored, error), ()) = tokio::join!(putting, killed);
        assert!(stored > 0, "no put before the server was killed");
        assert_is_down(error.kind());
        let error = is_there(&*store, 0).await.expect_err("a server that is down is a miss");
        assert_is_down(error.kind());
        assert_is_down(open(served).await.expect_err("a server that is down opens").kind());
        // Three operations after the server was killed, each within its deadline; stopping takes its time, too.
        assert!(begin.elapsed() < 3 * TIMEOUT + Duration::from_secs(10), "{:?}", begin.elapsed());

        served.container.start().await.unwrap();
        let reopened = loop {
            let options = options(&format!("http://{}", served.address), "bucket", StoreOptions::default());
            match S3Store::open(options).await {
                Ok(store) => break store,
                Err(error) if begin.elapsed() < Duration::from_secs(60) => assert_is_down(error.kind()),
                Err(error) => panic!("it does not come back: {error}"),
            }
        };
        // What is only in memory is gone. The store that was open all the time goes on where its bucket is again.
        for number in 0..=stored {
            let there = is_there(&*store, number).await.unwrap();
            assert_eq!(there, is_there(&reopened, number).await.unwrap());
        }
        store.put_bytes(&key(0), data(0).into()).await.unwrap();
        assert!(is_there(&reopened, 0).await.unwrap());
    });
}

fn a_hung_server_costs_the_deadline_and_no_more(served: &Served) {
    runtime().block_on(async {
        let store = open(served).await.unwrap();
        store.put_bytes(&key(1), data(1).into()).await.unwrap();
        served.container.pause().await.unwrap();
        // A second deadline would show.
        let within = 2 * TIMEOUT;
        let timed = async |operation: &str, answer: ErrorKind, begin: Instant| {
            assert_eq!(answer, ErrorKind::Timeout, "{operation}");
            assert!(begin.elapsed() < within, "{operation}: {:?}", begin.elapsed());
        };
        let begin = Instant::now();
        let get = is_there(&store, 1).await.expect_err("a hung server is a miss");
        timed("get", get.kind(), begin).await;
        let begin = Instant::now();
        let put = store.put_bytes(&key(2), data(2).into()).await.expect_err("a hung server stores");
        timed("put", put.kind(), begin).await;
        let begin = Instant::now();
        let opened = open(served).await.expect_err("a hung server opens");
        assert_is_down(opened.kind());
        assert!(begin.elapsed() < 4 * TIMEOUT, "open: {:?}", begin.elapsed());
        served.container.unpause().await.unwrap();
        assert!(is_there(&store, 1).await.unwrap());
        store.put_bytes(&key(2), data(2).into()).await.unwrap();
        assert!(is_there(&store, 2).await.unwrap());
    });
}
