use axum::{Router, routing::get};
use cache_http::{HttpOptions, Token, router, router_with, serve};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{ABC, client::Client};

async fn serve_app(app: Router) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    TaskTracker::new().spawn(serve(listener, app).into_future());
    Client::connect(addr).await
}

#[tokio::test]
async fn nested_router_serves_below_its_prefix_only() {
    let cache = cache::open("memory:").await.unwrap();
    let app = Router::new()
        .route("/", get(async || "own"))
        .nest("/deep/cache", router(cache))
        .fallback(async || "fallback");
    let mut client = serve_app(app).await;
    assert_eq!(client.get("/").await.text(), "own");
    assert_eq!(client.get("/other").await.text(), "fallback");
    assert_eq!(client.get(&format!("/cas/{ABC}")).await.text(), "fallback");
    assert_eq!(client.put(&format!("/deep/cache/team/cas/{ABC}"), "abc").await.status, 200);
    assert_eq!(client.get(&format!("/deep/cache//team//cas/{ABC}")).await.text(), "abc");
    assert_eq!(client.get("/deep/cache/healthz").await.text(), "ok");
    for (path, status) in [("", 404), ("/x", 404), ("/%2e%2e/x", 400), ("/cas/zz", 400)] {
        assert_eq!(client.get(&format!("/deep/cache{path}")).await.status, status, "{path}");
    }
    assert_eq!(client.ask("POST", &format!("/deep/cache/cas/{ABC}"), &[], b"").await.status, 405);
}

#[tokio::test]
async fn nested_router_guards_itself_and_nothing_else() {
    let cache = cache::open("memory:").await.unwrap();
    let options = HttpOptions::default().with_token(Token::new("s3cret").unwrap());
    let app = Router::new().route("/", get(async || "own")).nest("/cache", router_with(cache, options));
    let mut client = serve_app(app).await;
    assert_eq!(client.get("/").await.status, 200);
    for path in ["/cache", "/cache/x", "/cache//cas/x"] {
        assert_eq!(client.get(path).await.status, 401, "{path}");
    }
}
