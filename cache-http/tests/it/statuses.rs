use cache::{Cache, ErrorKind};
use cache_http::HttpOptions;

use crate::{ABC, KEY, faulty::Faulty, server::Server};

fn mounts() -> Vec<String> {
    vec![
        format!("/team/cas/{ABC}"),
        format!("/team/ac/{ABC}"),
        format!("/team/bazel/cas/{ABC}"),
        format!("/team/bazel/ac/{ABC}"),
        format!("/team/ccache/{KEY}"),
        format!("/team/ccache/{}/{}", &KEY[..2], &KEY[2..]),
        format!("/team/ccache/ac/{ABC}"),
    ]
}

#[tokio::test]
async fn every_mount_takes_every_method_with_the_promised_status() {
    for path in mounts() {
        let server = Server::memory().await;
        let mut client = server.client().await;
        for method in ["GET", "HEAD"] {
            assert_eq!(client.ask(method, &path, &[], b"").await.status, 404, "{method} {path}");
        }
        for round in ["first", "again"] {
            let reply = client.put(&path, "abc").await;
            assert_eq!((reply.status, reply.body.len()), (200, 0), "{round} {path}");
        }
        let got = client.get(&path).await;
        assert_eq!((got.status, got.text().as_str(), got.complete), (200, "abc", true), "{path}");
        assert_eq!(got.header("content-length"), Some("3"));
        assert_eq!(got.header("content-type"), Some("application/octet-stream"));
        let head = client.head(&path).await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("3")), "{path}");
        assert_eq!(head.header("etag"), got.header("etag"));
        assert!(head.header("etag").is_some());
        for round in ["first", "again"] {
            assert_eq!(client.delete(&path).await.status, 200, "{round} {path}");
        }
        assert_eq!(client.get(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn wrong_method_is_405_and_names_the_right_ones() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    for method in ["POST", "OPTIONS", "PATCH", "PROPFIND", "MKCOL"] {
        for path in mounts() {
            let reply = client.ask(method, &path, &[], b"").await;
            assert_eq!(reply.status, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some("GET, HEAD, PUT, DELETE"));
        }
    }
    assert_eq!(client.ask("PUT", "/healthz", &[], b"").await.status, 405);
}

#[tokio::test]
async fn unknown_route_is_404_for_every_method() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    let nowhere = format!("/a/b/cas/{ABC}");
    for path in
        ["/", "/x", "/metrics", "/v8/artifacts/status", "/sccache/.sccache_check", "/team/x/y", &nowhere]
    {
        for method in ["GET", "HEAD", "PUT", "DELETE", "POST"] {
            assert_eq!(client.ask(method, path, &[], b"").await.status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn malformed_key_is_400_for_every_method() {
    let server = Server::memory().await;
    let upper = ABC.to_uppercase();
    for key in ["zz", &ABC[1..], &upper, &"a".repeat(300)] {
        for mount in ["cas", "ac", "bazel/cas", "bazel/ac", "ccache"] {
            for method in ["GET", "HEAD", "PUT", "DELETE"] {
                let path = format!("/team/{mount}/{key}");
                let reply = server.client().await.ask(method, &path, &[], b"abc").await;
                assert_eq!(reply.status, 400, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn query_that_no_mount_knows_is_400() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    assert_eq!(client.get(&format!("/cas/{ABC}?slug=team")).await.status, 400);
    assert_eq!(client.get(&format!("/cas/{ABC}?")).await.status, 404);
}

#[tokio::test]
async fn failing_store_is_told_by_status_and_not_by_its_secrets() {
    let expected = [
        (ErrorKind::NoSpace, 507),
        (ErrorKind::Unavailable, 503),
        (ErrorKind::Locked, 503),
        (ErrorKind::Timeout, 504),
        (ErrorKind::Unsupported, 501),
        (ErrorKind::Denied, 500),
        (ErrorKind::Internal, 500),
    ];
    for (kind, status) in expected {
        let server = Server::start(Cache::new(Faulty::failing(kind)), HttpOptions::default()).await;
        let mut client = server.client().await;
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let reply = client.ask(method, &format!("/ac/{ABC}"), &[], b"").await;
            assert_eq!(reply.status, status, "{method} {kind:?}");
            assert!(!reply.text().contains("/secret"), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn closed_store_is_503() {
    let server = Server::memory().await;
    server.cache.close(None).await.unwrap();
    assert_eq!(server.client().await.get(&format!("/ac/{ABC}")).await.status, 503);
}

#[tokio::test]
async fn disabled_cache_is_403_on_put_and_404_on_get() {
    let server = Server::of("memory:?max_size=0").await;
    let mut client = server.client().await;
    let path = format!("/ac/{ABC}");
    assert_eq!(client.put(&path, "abc").await.status, 403);
    assert_eq!(client.get(&path).await.status, 404);
}

#[tokio::test]
async fn entry_over_the_stores_budget_is_413() {
    let server = Server::of("memory:?max_size=100").await;
    let mut client = server.client().await;
    let path = format!("/ac/{ABC}");
    assert_eq!(client.put(&path, [7; 101]).await.status, 413);
    assert_eq!(client.put(&path, [7; 100]).await.status, 200);
}

#[tokio::test]
async fn error_body_is_one_line_of_text() {
    let server = Server::memory().await;
    let reply = server.client().await.get("/cas/zz").await;
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.text().matches('\n').count(), 1);
    assert!(reply.text().ends_with('\n'));
}
