//! What goes wrong on the way to a server and back: every fault ends in time in the right bytes or in an error that tells
//! what to do, and none in a miss.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_core::{ErrorKind, GetOptions, KeyManagement, PutEntry, PutOptions, Result, Store, StoreExt};
use cache_s3::{S3Store, StoreOptions};
use cache_s3_server::{Answer, Direction, Disturbance, Fault, Proxy, Raw, Server, When};

use crate::place::{at, bytes, key, name, open, server};

/// What every operation has.
const TIMEOUT: Duration = Duration::from_secs(2);
/// A machine that is busy may take longer to notice.
const SLACK: Duration = Duration::from_secs(2);

const SMALL: u64 = 1;
const LARGE: u64 = 2;
const ABSENT: u64 = 3;

fn content(number: u64) -> Bytes {
    bytes(number, if number == LARGE { 3 << 20 } else { 10_000 })
}

fn options() -> StoreOptions {
    StoreOptions::default()
        .with_timeout(TIMEOUT)
        .with_conditional_puts(true)
        .with_min_bytes_per_second(1 << 30)
}

/// A server with two entries, and a store that reaches it through something that disturbs.
struct Place {
    server: Server,
    proxy: Proxy,
    store: S3Store,
    /// Reaches the server itself.
    behind: S3Store,
}

impl Place {
    async fn new() -> Self {
        let server = server();
        let proxy = Proxy::start(server.address()).unwrap();
        let behind = open(&server, StoreOptions::default()).await;
        for number in [SMALL, LARGE] {
            behind.put_bytes(&key(number), content(number)).await.unwrap();
        }
        let store = S3Store::open(at(proxy.endpoint(), &server, options()).with_retries(2)).await.unwrap();
        Self { server, proxy, store, behind }
    }
}

/// How long something took, and how it ended: the bytes, a miss, or a kind of error.
#[derive(Debug)]
struct Ended {
    took: Duration,
    what: Result<Option<Bytes>>,
}

async fn get(store: &S3Store, number: u64) -> Ended {
    let begun = Instant::now();
    let options = GetOptions::default().with_stream_above(100_000);
    let read = async {
        let Some(blob) = store.get(&key(number), &name("data"), options).await? else { return Ok(None) };
        blob.collect(u64::MAX).await.map(Some)
    };
    Ended { what: read.await, took: begun.elapsed() }
}

async fn put(store: &S3Store, number: u64) -> Ended {
    let begun = Instant::now();
    let put = store.put(&key(number), PutEntry::data(content(number)), PutOptions::default()).await;
    Ended { what: put.map(|_| Some(Bytes::new())), took: begun.elapsed() }
}

impl Ended {
    fn word(&self) -> String {
        match &self.what {
            Ok(Some(_)) => "ok".into(),
            Ok(None) => "a miss".into(),
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    /// In time, and with the right bytes if with any.
    fn check(&self, fault: &str, number: u64) {
        assert!(self.took < TIMEOUT + SLACK, "{fault}: {:?}", self.took);
        match &self.what {
            Ok(Some(read)) => assert!(read.is_empty() || *read == content(number), "{fault}: wrong bytes"),
            Ok(None) => assert_eq!(number, ABSENT, "{fault}: a miss"),
            Err(error) => {
                let told =
                    [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Denied, ErrorKind::Corrupt];
                assert!(told.contains(&error.kind()), "{fault}: {}", error.to_line());
                assert_eq!((error.store(), error.key()), ("s3", Some(&key(number))), "{fault}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_end_in_time_in_a_kind_that_tells_what_to_do() {
    let place = Place::new().await;
    let mut table = Vec::new();
    let by_server = [
        ("500 once", Fault::internal_error(), When::nth(1), "ok", "ok"),
        ("500 from now on", Fault::internal_error(), When::always(), "Unavailable", "Unavailable"),
        ("503 SlowDown once", Fault::slow_down(), When::nth(1), "ok", "ok"),
        ("503 SlowDown from now on", Fault::slow_down(), When::always(), "Unavailable", "Unavailable"),
        ("429 once", Fault::too_many_requests(), When::nth(1), "ok", "ok"),
        ("429 from now on", Fault::too_many_requests(), When::always(), "Unavailable", "Unavailable"),
        ("403 AccessDenied", Fault::access_denied(), When::always(), "Denied", "Denied"),
        ("400 ExpiredToken", Fault::expired_token(), When::always(), "Denied", "Denied"),
        ("403 ExpiredToken", Fault::expired_token_forbidden(), When::always(), "Denied", "Denied"),
        ("404 NoSuchBucket", Fault::no_such_bucket(), When::always(), "Unavailable", "Unavailable"),
        ("connection dropped once", Fault::Drop, When::nth(1), "ok", "ok"),
        ("connection dropped from now on", Fault::Drop, When::always(), "Unavailable", "Unavailable"),
        ("answer lost once", Fault::LoseReply, When::nth(1), "ok", "ok"),
        ("no answer", Fault::Hang, When::always(), "Timeout", "Timeout"),
        ("an answer after 300 ms", Fault::Delay(Duration::from_millis(300)), When::always(), "ok", "ok"),
        ("a page of a captive portal", Fault::captive_portal(), When::always(), "Unavailable", "Unavailable"),
    ];
    for (fault, what, when, read, written) in by_server {
        place.server.fail(what.clone(), when);
        let got = get(&place.store, SMALL).await;
        got.check(fault, SMALL);
        place.server.mend();
        place.server.fail(what, when);
        let had = put(&place.store, SMALL).await;
        had.check(fault, SMALL);
        place.server.mend();
        table.push(format!(
            "| {fault} | {:.1?} {} | {:.1?} {} |",
            got.took,
            got.word(),
            had.took,
            had.word()
        ));
        assert_eq!((got.word().as_str(), had.word().as_str()), (read, written), "{fault}: {got:?} {had:?}");
    }
    let on_the_way = [
        ("100 ms of latency", Disturbance::Latency(Duration::from_millis(50)), "ok", "ok"),
        ("connections refused", Disturbance::Refuse, "Unavailable", "Unavailable"),
        (
            "cut after 100 bytes of the answer",
            Disturbance::Cut(Direction::Down, 100),
            "Unavailable",
            "Unavailable",
        ),
        (
            "reset after 100 bytes of the answer",
            Disturbance::Reset(Direction::Down, 100),
            "Unavailable",
            "Unavailable",
        ),
        (
            "cut after 300 bytes of the request",
            Disturbance::Cut(Direction::Up, 300),
            "Unavailable",
            "Unavailable",
        ),
        (
            "hangs after 100 bytes of the answer",
            Disturbance::Hang(Direction::Down, 100),
            "Timeout",
            "Timeout",
        ),
        ("hangs after 300 bytes of the request", Disturbance::Hang(Direction::Up, 300), "Timeout", "Timeout"),
        ("50 bytes a second", Disturbance::Rate(Direction::Down, 50), "Timeout", "Timeout"),
    ];
    for (fault, what, read, written) in on_the_way {
        place.proxy.set(what);
        let got = get(&place.store, SMALL).await;
        got.check(fault, SMALL);
        let had = put(&place.store, SMALL).await;
        had.check(fault, SMALL);
        place.proxy.set(Disturbance::None);
        table.push(format!(
            "| {fault} | {:.1?} {} | {:.1?} {} |",
            got.took,
            got.word(),
            had.took,
            had.word()
        ));
        assert_eq!((got.word().as_str(), had.word().as_str()), (read, written), "{fault}: {got:?} {had:?}");
    }
    println!("| fault | get | put |\n|---|---|---|\n{}", table.join("\n"));
    let read = get(&place.store, SMALL).await;
    assert_eq!(read.word(), "ok", "it works again: {read:?}");
}

/// A cut at every KiB of an answer, a flipped bit at many bytes of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_cut_or_garbled_anywhere_give_right_bytes_or_an_error() {
    let place = Place::new().await;
    let mut ended = std::collections::BTreeMap::<String, u32>::new();
    let mut note = |fault: &str, number, got: Ended| {
        got.check(fault, number);
        *ended
            .entry(format!("{} {}", fault.split(' ').next().unwrap_or_default(), got.word()))
            .or_default() += 1;
    };
    for kib in 0..13 {
        for (what, disturbance) in [
            ("cut", Disturbance::Cut(Direction::Down, kib << 10)),
            ("reset", Disturbance::Reset(Direction::Down, (kib << 10) + 7)),
        ] {
            place.proxy.set(disturbance);
            note(&format!("{what} at {kib} KiB"), SMALL, get(&place.store, SMALL).await);
        }
    }
    for mib in [1, 2] {
        place.proxy.set(Disturbance::Cut(Direction::Down, (mib << 20) + 100_000));
        note(&format!("cut at {mib} MiB of more"), LARGE, get(&place.store, LARGE).await);
    }
    let small = (0..10_900).step_by(171).chain(0..60).map(|at| (SMALL, at));
    for (number, at) in small.chain([300_000, 1_100_000, 2_000_000, 3_100_000].map(|at| (LARGE, at))) {
        place.proxy.set(Disturbance::Flip(Direction::Down, at));
        note(&format!("flip at byte {at} of {number}"), number, get(&place.store, number).await);
        place.proxy.set(Disturbance::None);
        // Damage is looked at once more before the entry is removed, and that was garbled, too.
        place.behind.put_bytes(&key(number), content(number)).await.unwrap();
    }
    println!("{ended:#?}");
    assert!(ended.get("flip Corrupt").is_some_and(|count| *count > 20), "{ended:?}");
}

/// A put whose request is garbled stores nothing wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_garbled_store_nothing_wrong() {
    let place = Place::new().await;
    for at in (0..11_000).step_by(499) {
        place.proxy.set(Disturbance::Flip(Direction::Up, at));
        put(&place.store, SMALL).await.check(&format!("a flip at byte {at}"), SMALL);
        place.proxy.set(Disturbance::None);
        let read = get(&place.behind, SMALL).await;
        assert_eq!(read.word(), "ok", "after a flip at byte {at}: {read:?}");
    }
}

/// What answers is no S3 at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_at_the_endpoint_are_never_a_miss_and_take_no_memory() {
    let server = server();
    let huge = 1_u64 << 50;
    let strangers = [
        ("a captive portal", Answer::captive_portal()),
        ("a redirect", Answer::redirect("http://127.0.0.1:1/login")),
        (
            "a page that is not found",
            Answer::http("404 Not Found", "content-type: text/html\r\n", "<html>no</html>"),
        ),
        ("an empty 404", Answer::http("404 Not Found", "", "")),
        ("a body of 2^50 bytes, says the header", Answer::length(huge)),
        ("a part of 2^50 bytes, says the header", Answer::partial(huge)),
        ("no length", Answer::no_length("hello")),
        ("chunks", Answer::chunked("hello")),
        ("a body without end", Answer::endless()),
        ("an error without end", Answer::endless_error("500 Internal Server Error")),
        ("a refusal without end", Answer::endless_error("403 Forbidden")),
        ("silence", Answer::silence()),
        ("not HTTP", Answer::new("SSH-2.0-OpenSSH_9.2\r\n")),
    ];
    for (what, answer) in strangers {
        let raw = Raw::start(answer).unwrap();
        let proxy = Proxy::start(server.address()).unwrap();
        let store = S3Store::open(at(proxy.endpoint(), &server, options()).with_retries(1)).await.unwrap();
        proxy.set_upstream(raw.address());
        for number in [SMALL, ABSENT] {
            let got = get(&store, number).await;
            assert!(got.what.is_err(), "{what}: {got:?}");
            got.check(what, number);
            let begun = Instant::now();
            let told = store.contains(&key(number)).await;
            assert!(told.is_err(), "{what}: contains {told:?}");
            assert!(begun.elapsed() < TIMEOUT + SLACK, "{what}");
        }
        put(&store, SMALL).await.check(what, SMALL);
        let listed = store
            .expand(
                &cache_core::Namespace::root(),
                "abcd".parse::<cache_core::DigestPrefix>().unwrap().into(),
            )
            .await;
        assert!(listed.is_err_and(|error| error.kind() != ErrorKind::NotFound), "{what}");
        // Nor is such a one opened.
        let opened = S3Store::open(at(raw.endpoint(), &server, options()).with_retries(1)).await;
        let error = opened.map(drop).unwrap_err();
        let told = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Denied];
        assert!(told.contains(&error.kind()), "{what}: {}", error.to_line());
    }
}

/// The object is replaced while an answer was cut: the rest of another version is not taken for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_another_version_is_not_taken() {
    let place = Place::new().await;
    for at in [500_000, 1_500_000, 2_500_000] {
        place.proxy.set(Disturbance::Cut(Direction::Down, at));
        let options = GetOptions::default().with_stream_above(100_000);
        let Ok(Some(blob)) = place.store.get(&key(LARGE), &name("data"), options).await else { continue };
        place.behind.put_bytes(&key(LARGE), bytes(77, 3 << 20)).await.unwrap();
        place.proxy.set(Disturbance::None);
        match blob.collect(u64::MAX).await {
            Ok(read) => assert!(read == content(LARGE), "bytes of two versions"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.to_line()),
        }
        place.behind.put_bytes(&key(LARGE), content(LARGE)).await.unwrap();
    }
}
