use cache::Digest;

use crate::{ABC, KEY, server::Server};

#[tokio::test]
async fn entry_lies_in_the_namespace_of_its_mount_as_blob_data() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    let digest: Digest = ABC.parse().unwrap();
    for (path, namespace) in [
        (format!("/cas/{ABC}"), &["default", "cas"][..]),
        (format!("/team/ac/{ABC}"), &["team", "ac"]),
        (format!("/team/bazel/ac/{ABC}"), &["team", "bazel", "ac"]),
        (format!("/team%20%C3%A4/cas/{ABC}"), &["team ä", "cas"]),
    ] {
        assert_eq!(client.put(&path, "abc").await.status, 200, "{path}");
        let view =
            namespace.iter().try_fold(server.cache.clone(), |cache, part| cache.namespace(part)).unwrap();
        let blob = view.entry(digest).get("data").await.unwrap();
        assert_eq!(blob.as_deref(), Some(b"abc".as_slice()), "{path}");
    }
    assert_eq!(client.put(&format!("/team/ccache/{KEY}"), "abc").await.status, 200);
    let usage = server.cache.namespace("team").unwrap().namespace("ccache").unwrap().usage().await.unwrap();
    assert_eq!(usage.entries, 1);
}

#[tokio::test]
async fn namespace_left_out_is_default() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    for mount in ["cas", "ac", "bazel/cas", "bazel/ac"] {
        assert_eq!(client.put(&format!("/{mount}/{ABC}"), "abc").await.status, 200);
        assert_eq!(client.get(&format!("/default/{mount}/{ABC}")).await.status, 200);
        assert_eq!(client.delete(&format!("/default/{mount}/{ABC}")).await.status, 200);
        assert_eq!(client.get(&format!("/{mount}/{ABC}")).await.status, 404);
    }
    assert_eq!(client.put(&format!("/default/ccache/{KEY}"), "abc").await.status, 200);
    assert_eq!(client.get(&format!("/ccache/{KEY}")).await.status, 200);
}

#[tokio::test]
async fn bazel_cas_is_the_cas_and_bazel_ac_is_apart() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    assert_eq!(client.put(&format!("/team/bazel/cas/{ABC}"), "abc").await.status, 200);
    assert_eq!(client.get(&format!("/team/cas/{ABC}")).await.text(), "abc");
    for other in ["ac", "bazel/ac", "ccache/ac"] {
        assert_eq!(client.get(&format!("/team/{other}/{ABC}")).await.status, 404, "{other}");
    }
    for (mount, value) in [("ac", "one"), ("bazel/ac", "two"), ("ccache/ac", "three")] {
        assert_eq!(client.put(&format!("/team/{mount}/{ABC}"), value).await.status, 200);
    }
    for (mount, value) in [("ac", "one"), ("bazel/ac", "two"), ("ccache/ac", "three"), ("cas", "abc")] {
        assert_eq!(client.get(&format!("/team/{mount}/{ABC}")).await.text(), value);
    }
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    for ns in ["one", "two", "One", "tw%6f2"] {
        assert_eq!(client.put(&format!("/{ns}/ac/{ABC}"), ns).await.status, 200);
    }
    for ns in ["one", "two", "One", "tw%6f2"] {
        assert_eq!(client.get(&format!("/{ns}/ac/{ABC}")).await.text(), ns);
    }
    assert_eq!(client.delete(&format!("/one/ac/{ABC}")).await.status, 200);
    assert_eq!(client.get(&format!("/two/ac/{ABC}")).await.status, 200);
    assert_eq!(client.get(&format!("/three/ac/{ABC}")).await.status, 404);
}

#[tokio::test]
async fn reserved_name_is_no_namespace() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    for name in
        ["cas", "ac", "sccache", "gradle", "turbo", "nx", "dav", "v1", "v8", "healthz", "metrics", "status"]
    {
        assert_eq!(client.put(&format!("/{name}/cas/{ABC}"), "abc").await.status, 404, "{name}");
        assert_eq!(client.put(&format!("/{name}/bazel/cas/{ABC}"), "abc").await.status, 404, "{name}");
    }
}

#[tokio::test]
async fn malformed_namespace_is_400() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    let long = "n".repeat(65);
    for ns in ["..", ".", "%2e%2e", "%2E.", "a%00b", "a%2Fb", "a%5cb", "a%0d%0ab", "%ff", "a%zz", &long] {
        assert_eq!(client.get(&format!("/{ns}/cas/{ABC}")).await.status, 400, "{ns}");
    }
    for path in [format!("/team/../cas/{ABC}"), format!("/cas/../{ABC}"), "/ccache/..".to_owned()] {
        assert_eq!(client.get(&path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn doubled_slashes_are_one() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    assert_eq!(client.put(&format!("//team///cas//{ABC}"), "abc").await.status, 200);
    assert_eq!(client.get(&format!("/team/cas/{ABC}")).await.text(), "abc");
    assert_eq!(client.get("//healthz").await.status, 200);
}

#[tokio::test]
async fn ccache_key_is_the_same_flat_and_in_subdirs() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    let long = "079d8a45a36e8ca8a2c85a1cd54b9699d8f890ff";
    for key in [KEY, long] {
        let subdirs = format!("/ccache/{}/{}", &key[..2], &key[2..]);
        assert_eq!(client.put(&subdirs, key).await.status, 200);
        assert_eq!(client.get(&format!("/ccache/{key}")).await.text(), key);
    }
}

#[tokio::test]
async fn ccache_manifest_is_replaced_under_its_key() {
    let server = Server::memory().await;
    let mut client = server.client().await;
    for value in ["one", "one and two", ""] {
        assert_eq!(client.put(&format!("/ccache/{KEY}"), value).await.status, 200);
        assert_eq!(client.get(&format!("/ccache/{KEY}")).await.text(), value);
    }
}
