use cache::Digest;

use crate::{ABC, noise, server::Server};

#[tokio::test]
async fn cas_upload_that_is_not_its_name_is_400_and_the_old_content_stays() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    let path = format!("/cas/{ABC}");
    let refused = client.put(&path, "abd").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains(ABC), "{}", refused.text());
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(client.put(&path, "abc").await.status, 200);
    for wrong in [b"abd".as_slice(), b"", b"abcabc", &noise(3 << 20)] {
        assert_eq!(server.client().await.put(&path, wrong).await.status, 400);
        assert_eq!(client.get(&path).await.text(), "abc");
    }
}

#[tokio::test]
async fn cas_mismatch_through_the_bazel_alias_is_400() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    assert_eq!(client.put(&format!("/bazel/cas/{ABC}"), "abd").await.status, 400);
    assert_eq!(client.put(&format!("/bazel/ac/{ABC}"), "abd").await.status, 200);
}

#[tokio::test]
async fn large_cas_upload_is_verified_while_it_streams() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::of(&format!("disk:{}", directory.path().display())).await;
    let mut client = server.client().await;
    let mut content = noise(3 << 20);
    let path = format!("/cas/{}", Digest::of(&content));
    assert_eq!(client.put(&path, &content).await.status, 200);
    *content.last_mut().unwrap() ^= 1;
    let mut other = server.client().await;
    assert_eq!(other.put(&path, &content).await.status, 400);
    *content.last_mut().unwrap() ^= 1;
    assert_eq!(client.get(&path).await.body, content);
}

#[tokio::test]
async fn body_of_20_mib_streams_up_and_down_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let disk = format!("disk:{}", directory.path().display());
    let tiers = cache::open_tiers(["memory:?max_size=4MB", &disk]).await.unwrap();
    for cache in [cache::open(&disk).await.unwrap(), tiers] {
        let server = Server::start(cache, Default::default()).await;
        let mut client = server.client().await;
        let content = noise(20 << 20);
        let path = format!("/team/ccache/ac/{ABC}");
        assert_eq!(client.put(&path, &content).await.status, 200);
        let got = client.get(&path).await;
        assert_eq!((got.status, got.complete), (200, true));
        assert!(got.body == content);
        let head = client.head(&path).await;
        assert_eq!(head.header("content-length"), Some("20971520"));
        assert_eq!(head.header("etag"), got.header("etag"));
    }
}

#[tokio::test]
async fn empty_body_is_a_value() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    let path = format!("/ac/{ABC}");
    assert_eq!(client.put(&path, "").await.status, 200);
    let got = client.get(&path).await;
    assert_eq!((got.status, got.header("content-length")), (200, Some("0")));
    assert_eq!(client.head(&path).await.status, 200);
}

#[tokio::test]
async fn etag_is_the_contents_checksum_and_stable() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::of(&format!("disk:{}", directory.path().display())).await;
    let mut client = server.client().await;
    for content in [b"abc".to_vec(), noise(1 << 20), noise((1 << 20) + 1)] {
        let expected = format!("\"{}\"", cache::Checksum::of(&content));
        for path in [format!("/ac/{ABC}"), format!("/other/ac/{ABC}")] {
            assert_eq!(client.put(&path, &content).await.status, 200);
            assert_eq!(client.get(&path).await.header("etag"), Some(expected.as_str()));
            assert_eq!(client.head(&path).await.header("etag"), Some(expected.as_str()));
        }
    }
}
