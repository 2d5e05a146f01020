//! Stores in a database file, opened by URL and by configuration.

use cache::{Digest, ErrorKind, PutStatus};

use crate::refused;

#[tokio::test]
async fn redb_takes_an_absolute_path_and_its_limits_from_the_url() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("new/a b?.redb");
    let url = format!(
        "redb:{}/new/a%20b%3F.redb?max_size=50GB&max_entries=10&max_blob=1MiB&cache_size=1MiB&durable_puts=true",
        dir.path().display()
    );
    let cache = cache::open(&url).await.unwrap();
    assert!(odd.is_file());
    let info = cache.info();
    assert_eq!((info.kind.as_ref(), info.max_bytes), ("redb", Some(50_000_000_000)));
    assert_eq!((info.max_entries, info.max_blob_bytes), (Some(10), Some(1 << 20)));
    assert_eq!(info.location, odd.display().to_string());
    cache.put(Digest::of("k"), "v").await.unwrap();
    cache.close(None).await.unwrap();
}

#[tokio::test]
async fn what_is_put_is_there_after_a_restart_and_can_be_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("redb:{}/entries.redb", dir.path().display());
    let read_only = format!("{url}?read_only=true");
    assert!(cache::open(&read_only).await.is_err(), "there is none yet");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let cache = cache::open(&url).await.unwrap();
    cache.put(Digest::of("k"), "v").await.unwrap();
    assert_eq!(cache::open(&url).await.unwrap_err().kind(), ErrorKind::Locked);
    assert_eq!(cache::open(&read_only).await.unwrap_err().kind(), ErrorKind::Locked);
    cache.close(None).await.unwrap();
    drop(cache);

    let (one, other) = (cache::open(&read_only).await.unwrap(), cache::open(&read_only).await.unwrap());
    for cache in [one, other] {
        assert_eq!(cache.get(Digest::of("k")).await.unwrap().unwrap(), "v");
        assert!(cache.put(Digest::of("k"), "w").await.is_err());
        assert!(cache.evict(Digest::of("k")).await.is_err());
        cache.close(None).await.unwrap();
    }
}

#[tokio::test]
async fn it_is_a_tier_as_any_other_also_for_spill() {
    let dir = tempfile::tempdir().unwrap();
    let redb = |name: &str| format!("redb:{}/{name}.redb", dir.path().display());
    let cache =
        cache::open_tiers(["memory:?max_size=1MB".to_owned(), redb("one"), redb("two")]).await.unwrap();
    let outcome = cache.put(Digest::of("k"), "v").await.unwrap();
    let tiers: Vec<_> = outcome.tiers.iter().map(|(name, status)| (&**name, *status)).collect();
    let stored = PutStatus::Stored;
    assert_eq!(tiers, [("memory", stored), ("redb", stored), ("redb-2", stored)]);
    cache.close(None).await.unwrap();

    let spill = format!("{}?write=spill", redb("spill"));
    let cache = cache::open_tiers(["memory:?max_size=300B", &spill]).await.unwrap();
    for number in 0..20_u8 {
        cache.put(Digest::of([number]), vec![number; 100]).await.unwrap();
    }
    for number in 0..20_u8 {
        assert_eq!(cache.get(Digest::of([number])).await.unwrap().unwrap(), vec![number; 100]);
    }
    cache.close(None).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let file = format!("redb:{}/entries.redb", dir.path().display());
    refused(cache::open(&format!("{file}?max_entries=0")).await, "max_entries must be at least 1");
    let read_only = format!("{file}?read_only=true");
    refused(cache::open_tiers(["memory:", &read_only]).await, "open it alone");
    refused(cache::open_tiers([&file, &file]).await, "is another tier's store");
    refused(cache::open_tiers([file.as_str(), "memory:"]).await, "ends with the process");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    std::fs::write(&file, "not a database").unwrap();
    let error = cache::open(&format!("redb:{}", file.display())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a database");
    assert!(cache::open(&format!("redb:{}", dir.path().display())).await.is_err());
}
