use base64::{Engine, prelude::BASE64_STANDARD};
use cache_http::{HttpOptions, Token};

use crate::{ABC, client::Reply, noise, server::Server};

const TOKEN: &str = "s3cret-T0ken";

async fn server() -> Server {
    let options = HttpOptions::default().with_token(Token::new(TOKEN).unwrap());
    Server::start(cache::open("memory:").await.unwrap(), options).await
}

async fn ask(server: &Server, method: &str, path: &str, authorization: Option<&str>) -> Reply {
    let mut client = server.client().await;
    let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
    client.ask(method, path, &headers, b"abc").await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn right_token_is_served_as_bearer_and_as_password() {
    let server = server().await;
    let path = format!("/cas/{ABC}");
    for value in
        [format!("Bearer {TOKEN}"), format!("bearer {TOKEN}"), basic("user", TOKEN), basic("", TOKEN)]
    {
        for method in ["PUT", "GET", "HEAD", "DELETE"] {
            assert_eq!(ask(&server, method, &path, Some(&value)).await.status, 200, "{method} {value}");
        }
    }
}

#[tokio::test]
async fn missing_or_wrong_token_is_401_with_a_challenge() {
    let server = server().await;
    let wrong = [
        None,
        Some("Bearer wrong".to_owned()),
        Some("Bearer".to_owned()),
        Some(TOKEN.to_owned()),
        Some(basic(TOKEN, "")),
        Some(basic("user", "wrong")),
        Some("Basic not-base64!".to_owned()),
    ];
    for value in wrong {
        for method in ["PUT", "GET", "HEAD", "DELETE", "POST"] {
            let reply = ask(&server, method, &format!("/cas/{ABC}"), value.as_deref()).await;
            assert_eq!(reply.status, 401, "{method} {value:?}");
            assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"cache\""));
            assert!(!reply.text().contains(TOKEN));
        }
    }
    let stored = ask(&server, "GET", &format!("/cas/{ABC}"), Some(&basic("u", TOKEN))).await;
    assert_eq!(stored.status, 404);
}

#[tokio::test]
async fn without_token_every_route_is_401_whether_it_exists_or_not() {
    let server = server().await;
    for path in ["/", "/x", "/cas/zz", "/%2e%2e/x", "/healthz/x", "/healthz/", "/metrics"] {
        for method in ["GET", "HEAD", "PUT"] {
            assert_eq!(ask(&server, method, path, None).await.status, 401, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn healthz_needs_no_token() {
    let server = server().await;
    let reply = ask(&server, "GET", "/healthz", None).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
    assert_eq!(ask(&server, "HEAD", "/healthz", None).await.status, 200);
    assert_eq!(ask(&server, "GET", "/healthz", Some("Bearer wrong")).await.status, 200);
}

#[tokio::test]
async fn client_that_sends_a_body_without_token_reads_the_401() {
    let server = server().await;
    let mut client = server.client().await;
    assert_eq!(client.put(&format!("/ac/{ABC}"), noise(3 << 20)).await.status, 401);
}
