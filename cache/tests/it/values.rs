//! Values under the digests of themselves, on the stores that this crate opens.

use cache::{ErrorKind, Json, ValueStore};
use futures::TryStreamExt;

#[tokio::test]
async fn value_is_kept_once_and_loaded_by_a_short_digest() {
    let dir = tempfile::tempdir().unwrap();
    for url in ["memory:".to_owned(), format!("disk:{}", dir.path().display())] {
        let cache = cache::open(&url).await.unwrap().namespace("values").unwrap();
        let values = ValueStore::<Json>::new(cache);
        let digest = values.save(&vec!["a", "b"]).await.unwrap();
        assert_eq!(values.save(&["a", "b"].to_vec()).await.unwrap(), digest);
        values.save(&7).await.unwrap();
        let listed: Vec<_> = values.list().unwrap().try_collect().await.unwrap();
        assert_eq!(listed.len(), 2, "{url}");
        assert_eq!(values.load::<Vec<String>>(digest.prefix(9)).await.unwrap(), ["a", "b"]);
        values.evict(digest.prefix(9)).await.unwrap();
        let error = values.load::<Vec<String>>(digest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&format!("values/{digest}")), "{error}");
    }
}
