//! Typed values on the stores that this crate opens.

use cache::{Cache, Digest, Error, ErrorKind, Json};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Size {
    width: u32,
    name: Option<String>,
}

async fn disk(dir: &tempfile::TempDir) -> Cache {
    cache::open(&format!("disk:{}", dir.path().display())).await.unwrap()
}

#[tokio::test]
async fn typed_value_survives_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (digest, size) = (Digest::of("k"), Size { width: 3, name: Some("é".to_owned()) });
    let cache = disk(&dir).await;
    cache.typed::<Size, Json>().with_schema(2).put(digest, &size).await.unwrap();
    cache.close(None).await.unwrap();
    let cache = disk(&dir).await;
    let sizes = cache.typed::<Size, Json>().with_schema(2);
    assert_eq!(sizes.load(digest.prefix(6)).await.unwrap(), size);
    let computed = sizes.get_or_compute(digest, || async { Err("not called") }).await.unwrap();
    assert_eq!(computed, size);
    assert_eq!(cache.typed::<Size, Json>().get(digest).await.unwrap(), None);
}

#[tokio::test]
async fn typed_handles_of_one_store_tell_their_values_apart_by_namespace() {
    let cache = cache::open("memory:").await.unwrap();
    let numbers = cache.namespace("numbers").unwrap().typed::<u32, Json>().report_mismatch();
    let texts = cache.namespace("texts").unwrap().typed::<String, Json>().report_mismatch();
    let digest = Digest::of("k");
    let number = numbers.get_or_compute(digest, || async { Ok::<_, Error>(1) }).await.unwrap();
    let text = texts.get_or_compute(digest, || async { Ok::<_, Error>("1".to_owned()) }).await.unwrap();
    assert_eq!((number, text.as_str()), (1, "1"));
    let error = numbers.load(Digest::of("absent")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("numbers/"), "{error}");
}

#[tokio::test]
async fn disabled_cache_computes_every_time_and_fails_never() {
    let sizes = cache::open("memory:?max_size=0").await.unwrap().typed::<u32, Json>();
    assert!(!sizes.put(Digest::of("k"), &1).await.unwrap().is_stored());
    for value in [1, 2] {
        let computed = sizes.get_or_compute(Digest::of("k"), move || async move { Ok::<_, Error>(value) });
        assert_eq!(computed.await.unwrap(), value);
    }
}
