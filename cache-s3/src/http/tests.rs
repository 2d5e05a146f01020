use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use cache_s3_server::{Answer, Raw, Server, ServerOptions};
use http::{Method, StatusCode, header::RANGE};
use object_store::{
    ClientOptions,
    client::{HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse},
};

use super::{Clients, Connector, Settings, Stopped};

/// How long is waited for a server that says nothing.
const IDLE: Duration = Duration::from_secs(1);
/// How long for one that answers: longer than the busiest machine takes.
const PATIENT: Duration = Duration::from_secs(30);

fn connector() -> Connector {
    waiting(PATIENT)
}

fn waiting(idle: Duration) -> Connector {
    Connector::new(Settings {
        connect_timeout: Duration::from_secs(10),
        idle,
        min_bytes_per_second: 1 << 20,
        tls: false,
    })
    .unwrap()
}

fn request(method: Method, url: &str, range: bool) -> HttpRequest {
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = method;
    *request.uri_mut() = url.parse().unwrap();
    if range {
        request.headers_mut().insert(RANGE, "bytes=0-9".parse().unwrap());
    }
    request
}

async fn ask(answer: Answer, method: Method, range: bool) -> Result<HttpResponse, HttpError> {
    ask_by(&connector(), answer, method, range).await
}

/// Asks a server that stops in the middle.
async fn ask_in_vain(answer: Answer, method: Method, range: bool) -> Result<HttpResponse, HttpError> {
    ask_by(&waiting(IDLE), answer, method, range).await
}

async fn ask_by(
    connector: &Connector,
    answer: Answer,
    method: Method,
    range: bool,
) -> Result<HttpResponse, HttpError> {
    let server = Raw::start(answer).unwrap();
    // The server goes away with this function, so what comes is taken here.
    let response = connector.client(true).execute(request(method, &server.endpoint(), range)).await?;
    let (parts, body) = response.into_parts();
    let body = body.bytes().await?;
    Ok(HttpResponse::from_parts(parts, body.into()))
}

async fn text(response: HttpResponse) -> String {
    String::from_utf8(response.into_body().bytes().await.unwrap().to_vec()).unwrap()
}

fn stopped(error: &HttpError) -> Option<Stopped> {
    error.source().and_then(|error| error.downcast_ref()).copied()
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up_at_its_cap() {
    let error = ask(Answer::endless(), Method::GET, false).await.unwrap_err();
    assert_eq!((error.kind(), stopped(&error)), (HttpErrorKind::Decode, Some(Stopped::TooLong)));
}

#[tokio::test]
async fn an_objects_own_bytes_have_no_cap_and_promise_no_length() {
    use futures::StreamExt;
    use http_body::Body;

    let server = Raw::start(Answer::length(1 << 50)).unwrap();
    let response =
        connector().client(true).execute(request(Method::GET, &server.endpoint(), true)).await.unwrap();
    assert_eq!(response.body().size_hint().lower(), 0);

    let server = Raw::start(Answer::endless()).unwrap();
    let response =
        connector().client(true).execute(request(Method::GET, &server.endpoint(), true)).await.unwrap();
    let mut bytes = 0;
    let mut chunks = response.into_body().bytes_stream();
    while bytes < 20 << 20 {
        bytes += chunks.next().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_length_that_is_a_lie_reserves_nothing() {
    // It would end the process otherwise.
    let error = ask_in_vain(Answer::length(1 << 50), Method::GET, false).await.unwrap_err();
    assert_eq!(stopped(&error), Some(Stopped::Idle(IDLE)));
}

#[tokio::test]
async fn the_body_of_an_error_is_cut_off() {
    let response = ask(Answer::endless_error("403 Forbidden"), Method::GET, true).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(text(response).await, "65536 bytes that are not of an object store");
}

#[tokio::test]
async fn a_silent_server_fails_the_attempt() {
    let begun = Instant::now();
    let error = ask_in_vain(Answer::silence(), Method::GET, false).await.unwrap_err();
    assert_eq!((error.kind(), stopped(&error)), (HttpErrorKind::Timeout, Some(Stopped::Idle(IDLE))));
    assert!(begun.elapsed() < 10 * IDLE);

    let half = Answer::new("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfew").and_holds();
    let error = ask_in_vain(half, Method::GET, true).await.unwrap_err();
    assert_eq!((error.kind(), stopped(&error)), (HttpErrorKind::Timeout, Some(Stopped::Idle(IDLE))));

    // What it said of an error until then is what there is.
    let half = Answer::new("HTTP/1.1 403 Forbidden\r\nContent-Length: 999\r\n\r\nno entry").and_holds();
    let response = ask_in_vain(half, Method::GET, true).await.unwrap();
    assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::FORBIDDEN, "no entry"));
}

#[tokio::test]
async fn what_may_be_repeated_is_known_by_its_kind() {
    let error = ask_in_vain(Answer::silence(), Method::DELETE, false).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Request);
    let error = ask_in_vain(Answer::silence(), Method::PUT, false).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Timeout);

    // Nobody else is given its port.
    let gone = Server::start(ServerOptions::new()).unwrap();
    gone.crash();
    let request = request(Method::PUT, &gone.endpoint(), false);
    let error = connector().client(true).execute(request).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Connect);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Raw::start(Answer::http("200 OK", "", "other")).unwrap();
    let response = ask(Answer::redirect(&other.endpoint()), Method::GET, false).await.unwrap();
    assert_eq!((response.status(), other.connections()), (StatusCode::FOUND, 0));
}

#[tokio::test]
async fn plain_http_is_spoken_only_where_it_is_allowed() {
    let server = Raw::start(Answer::http("200 OK", "", "")).unwrap();
    let connector = connector();
    let strict = connector.connect(&ClientOptions::new()).unwrap();
    let error = strict.execute(request(Method::GET, &server.endpoint(), false)).await.unwrap_err();
    assert_eq!((stopped(&error), server.connections()), (Some(Stopped::PlainHttp), 0));
    let lax = connector.connect(&ClientOptions::new().with_allow_http(true)).unwrap();
    lax.execute(request(Method::GET, &server.endpoint(), false)).await.unwrap();
}

#[tokio::test]
async fn tls_to_a_server_that_speaks_none_is_an_error() {
    let server = Server::start(ServerOptions::new()).unwrap();
    let url = server.endpoint().replace("http:", "https:");
    let error = connector().client(false).execute(request(Method::GET, &url, false)).await.unwrap_err();
    assert_eq!(error.kind(), HttpErrorKind::Connect);
}

#[tokio::test]
async fn a_page_for_people_is_no_answer() {
    let page = "\n <!DOCTYPE HTML><html><title>Log in</title>canary</html>";
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
        let error = ask(Answer::http("200 OK", "", page), method, false).await.unwrap_err();
        assert_eq!(stopped(&error), Some(Stopped::Stranger));
    }
    // An object may be one.
    ask(Answer::http("200 OK", "", page), Method::GET, true).await.unwrap();
}

#[tokio::test]
async fn half_a_listing_is_none() {
    let list = |body: &'static str, query: &'static str| async move {
        let server = Raw::start(Answer::no_length(body)).unwrap();
        let url = format!("{}/bucket?{query}", server.endpoint());
        connector().client(true).execute(request(Method::GET, &url, false)).await
    };
    for query in ["list-type=2&prefix=x", "restype=container&comp=list"] {
        for whole in [
            "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>b</Name></ListBucketResult>\n",
            "\u{feff}<EnumerationResults a=\"b\"></EnumerationResults>",
            "<ListBucketResult/>",
        ] {
            let response = list(whole, query).await.unwrap();
            assert_eq!(text(response).await, whole);
        }
        for other in [
            "",
            "{}",
            "<ListBucketResult><Name>b</Name>",
            "<a></ListBucketResult>",
            "<ListAllMyBucketsResult/>",
        ] {
            assert_eq!(stopped(&list(other, query).await.unwrap_err()), Some(Stopped::Stranger), "{other}");
        }
    }
    list("{}", "prefix=list-type=2").await.unwrap();
}

#[tokio::test]
async fn a_silent_machine_is_given_up_soon() {
    let server = Raw::start(Answer::silence()).unwrap();
    let host = "metadata.google.internal";
    let machine = || {
        let tls = super::tls::config(false).unwrap();
        let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
        builder.resolve(host, server.address()).build().unwrap()
    };
    let mut connector = connector();
    connector.settings.idle = Duration::from_secs(30);
    connector.clients = Arc::new(Clients { far: machine(), link_local: machine() });
    let url = format!("http://{host}:{}/latest/api/token", server.address().port());
    let begun = Instant::now();
    let error = connector.client(true).execute(request(Method::PUT, &url, false)).await.unwrap_err();
    assert_eq!(stopped(&error), Some(Stopped::Idle(Duration::from_secs(2))));
    assert!(begun.elapsed() < connector.settings.idle / 2, "{:?}", begun.elapsed());
}
