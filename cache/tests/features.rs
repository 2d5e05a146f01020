//! A scheme whose feature is off says so by name.

#[cfg(not(feature = "memory"))]
#[tokio::test]
async fn memory_without_its_feature_is_refused_by_name() {
    let error = cache::open("memory:").await.unwrap_err();
    assert!(error.to_string().contains("the feature `memory` of the cache crate is off"), "{error}");
}

#[cfg(not(feature = "disk"))]
#[tokio::test]
async fn disk_without_its_feature_is_refused_by_name() {
    let error = cache::open("disk:/nowhere").await.unwrap_err();
    assert!(error.to_string().contains("the feature `disk` of the cache crate is off"), "{error}");
}

#[cfg(not(feature = "redb"))]
#[tokio::test]
async fn redb_without_its_feature_is_refused_by_name() {
    let error = cache::open("redb:/nowhere").await.unwrap_err();
    assert!(error.to_string().contains("the feature `redb` of the cache crate is off"), "{error}");
}

#[cfg(not(feature = "s3"))]
#[tokio::test]
async fn s3_without_its_feature_is_refused_by_name() {
    let error = cache::open("s3://nowhere").await.unwrap_err();
    assert!(error.to_string().contains("the feature `s3` of the cache crate is off"), "{error}");
}

#[cfg(not(feature = "gcs"))]
#[tokio::test]
async fn gcs_without_its_feature_is_refused_by_name() {
    let error = cache::open("gs://nowhere").await.unwrap_err();
    assert!(error.to_string().contains("the feature `gcs` of the cache crate is off"), "{error}");
}

#[cfg(not(feature = "azure"))]
#[tokio::test]
async fn azure_without_its_feature_is_refused_by_name() {
    let error = cache::open("az://nowhere?account=a").await.unwrap_err();
    assert!(error.to_string().contains("the feature `azure` of the cache crate is off"), "{error}");
}

#[cfg(all(feature = "memory", not(feature = "layered")))]
#[tokio::test]
async fn tiers_without_their_feature_are_refused_by_name() {
    let error = cache::open_tiers(["memory:", "memory:"]).await.unwrap_err();
    assert!(error.to_string().contains("the feature `layered`"), "{error}");
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn one_backend_alone_works() {
    use cache::Digest;

    let cache = cache::open("memory:").await.unwrap();
    cache.put(Digest::of("k"), "v").await.unwrap();
    assert_eq!(cache.get(Digest::of("k")).await.unwrap().unwrap(), "v");
}

#[cfg(not(feature = "disk"))]
#[tokio::test]
async fn a_configured_kind_without_its_feature_is_read_and_refused_by_name_when_opened() {
    let config = r#"{"tiers": [{"kind": "disk", "path": "/nowhere"}]}"#;
    let config: cache::Config = serde_json::from_str(config).unwrap();
    let error = cache::open_config(&config).await.unwrap_err();
    assert_eq!(error.kind(), cache::ErrorKind::Invalid);
    assert!(
        error.to_string().contains("tier 1 (disk): the feature `disk` of the cache crate is off"),
        "{error}"
    );
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn redb_alone_works() {
    use cache::Digest;

    let dir = tempfile::tempdir().unwrap();
    let cache = cache::open(&format!("redb:{}/entries.redb", dir.path().display())).await.unwrap();
    cache.put(Digest::of("k"), "v").await.unwrap();
    assert_eq!(cache.get(Digest::of("k")).await.unwrap().unwrap(), "v");
    cache.close(None).await.unwrap();
}
