//! What is secret is in nothing that the store prints, whatever goes wrong.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use cache_core::{BlobName, Digest, Error, Key, Store, StoreExt};
use cache_s3::{S3Options, S3Store, StoreOptions};
use cache_s3_server::{Answer, Fault, Raw, Server, ServerOptions, When};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

const SECRET: &str = "CANARY/secret+key";
const TOKEN: &str = "CANARY//session+token==";

/// All that is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs a test with everything logged that its libraries can log, and looks for the canary in it.
fn logged(test: impl Future<Output = ()>) {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(log.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(test));
    let text = log.text();
    assert!(!text.is_empty(), "nothing was logged");
    check(&text);
}

#[track_caller]
fn check(text: &str) {
    // Percent-encoded it would still begin like this.
    assert!(!text.contains("CANARY"), "{text}");
}

#[track_caller]
fn check_error(error: &Error) {
    check(&error.to_string());
    check(&error.to_line());
    check(&format!("{error:?}"));
    check(&format!("{error:#?}"));
}

fn options(endpoint: String) -> S3Options {
    S3Options::new("bucket")
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_credentials("AKIDTEST", SECRET)
        .with_retries(1)
        .with_store(StoreOptions::default().with_timeout(Duration::from_secs(1)))
}

#[test]
fn a_store_that_works_prints_no_secret() {
    logged(async {
        let server = Server::start(ServerOptions::new().with_credentials("AKIDTEST", SECRET)).unwrap();
        let options = options(server.endpoint()).with_auto_create(true);
        check(&format!("{options:?}"));
        assert!(!format!("{options:?}").contains("AKIDTEST"));
        let store = S3Store::open(options).await.unwrap();
        let key = Key::from(Digest::of("k"));
        store.put_bytes(&key, "value".into()).await.unwrap();
        assert!(store.get_bytes(&key, &BlobName::default()).await.unwrap().is_some());
        for text in [format!("{store:?}"), format!("{:?}", store.info()), format!("{:?}", store.metrics())] {
            check(&text);
        }
        check(&format!("{:?}", store.meta(&key).await.unwrap()));
    });
}

#[test]
fn no_fault_makes_a_store_print_a_secret() {
    logged(async {
        let server = ServerOptions::new().with_credentials("AKIDTEST", SECRET).with_bucket("bucket");
        let server = Server::start(server).unwrap();
        let store = S3Store::open(options(server.endpoint())).await.unwrap();
        let key = Key::from(Digest::of("k"));
        for fault in [
            Fault::slow_down(),
            Fault::access_denied(),
            Fault::expired_token(),
            Fault::no_such_bucket(),
            Fault::captive_portal(),
            Fault::Drop,
            Fault::Hang,
        ] {
            server.fail(fault, When::always());
            check_error(&store.get_bytes(&key, &BlobName::default()).await.unwrap_err());
            if let Err(error) = store.put_bytes(&key, "value".into()).await {
                check_error(&error);
            }
            server.mend();
        }
        server.crash();
        check_error(&store.get_bytes(&key, &BlobName::default()).await.unwrap_err());
    });
}

#[test]
fn what_a_server_quotes_of_a_request_goes_no_further() {
    logged(async {
        let quoted = format!(
            "<Error><Code>InvalidToken</Code><Message>malformed</Message><Token-0>{TOKEN}</Token-0>\
             <StringToSign>{SECRET}</StringToSign></Error>"
        );
        let rest = "x".repeat(60);
        let echoed = format!("GET /bucket HTTP/1.1\r\nx-amz-security-token: {TOKEN}\r\nhost: {rest}\r\n");
        for (status, body) in [
            ("400 Bad Request", &quoted),
            ("403 Forbidden", &quoted),
            ("404 Not Found", &echoed),
            ("500 Internal Server Error", &echoed),
            ("200 OK", &echoed),
        ] {
            let server = Raw::start(Answer::http(status, "", body)).unwrap();
            let options = options(server.endpoint()).with_session_token(TOKEN);
            check(&format!("{options:?}"));
            check_error(&S3Store::open(options).await.unwrap_err());
        }
    });
}

#[test]
fn options_that_are_refused_are_not_quoted() {
    let base = || options("http://127.0.0.1:1".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for options in [
        base().with_credentials("AKIDTEST", "CANARY \n"),
        base().with_session_token("CANARY\u{e9}"),
        base().with_endpoint("http://user:CANARY@127.0.0.1"),
        base().with_endpoint("http://127.0.0.1/?X-Amz-Signature=CANARY"),
        base().with_endpoint("CANARY"),
    ] {
        check_error(&runtime.block_on(S3Store::open(options)).unwrap_err());
    }
}
