//! Stores opened by URL and by configuration: what works, and what is refused by name.
#![cfg(all(feature = "memory", feature = "disk", feature = "layered"))]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use cache::{Cache, Digest, ErrorKind, PutStatus};

mod buckets;
#[cfg(feature = "calls")]
mod calls;
mod config;
#[cfg(feature = "redb")]
mod redb;
mod roles;
#[cfg(feature = "s3")]
mod s3;
mod spill;
#[cfg(feature = "json")]
mod typed;
#[cfg(feature = "json")]
mod values;

#[track_caller]
fn refused(opened: cache::Result<Cache>, why: &str) {
    let error = opened.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn memory_takes_its_limits_from_the_url() {
    let info = cache::open("memory:?max_size=256MB&max_entries=10&max_blob=1MiB").await.unwrap().info();
    assert_eq!((info.kind.as_ref(), info.max_bytes), ("memory", Some(256_000_000)));
    assert_eq!((info.max_entries, info.max_blob_bytes), (Some(10), Some(1 << 20)));
    let by_default = cache::open("memory:").await.unwrap().info();
    assert_eq!((by_default.max_bytes, by_default.max_blob_bytes), (Some(2_000_000_000), None));
    assert_eq!(cache::open("memory:?max_size=unlimited").await.unwrap().info().max_bytes, None);
}

#[tokio::test]
async fn disk_takes_an_absolute_path_also_one_with_odd_characters() {
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join("a b%?#é");
    let url = format!("disk:{}/a%20b%25%3F%23%C3%A9?max_size=50GB", dir.path().display());
    let cache = cache::open(&url).await.unwrap();
    assert!(odd.is_dir());
    assert_eq!(cache.info().max_bytes, Some(50_000_000_000));
    assert_eq!(cache.info().location, odd.display().to_string());
    let triple = format!("disk://{}", dir.path().display());
    assert_eq!(cache::open(&triple).await.unwrap().info().location, dir.path().display().to_string());
}

#[tokio::test]
async fn several_urls_are_tiers_fastest_first() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let urls = [
        "memory:?max_size=1MB".to_owned(),
        format!("disk:{}", one.path().display()),
        format!("disk:{}", two.path().display()),
    ];
    let cache = cache::open_tiers(&urls).await.unwrap();
    let outcome = cache.put(Digest::of("k"), "v").await.unwrap();
    let tiers: Vec<_> = outcome.tiers.iter().map(|(name, status)| (&**name, *status)).collect();
    let stored = PutStatus::Stored;
    assert_eq!(tiers, [("memory", stored), ("disk", stored), ("disk-2", stored)]);
}

#[tokio::test]
async fn typos_are_refused_by_name() {
    refused(cache::open("memory:?max_sise=1GB").await, "\"max_sise\" is unknown; memory takes max_size");
    refused(cache::open("memory:?max_size=1GB&max_size=2GB").await, "stands twice");
    refused(cache::open("memory:?max_size=many").await, "option max_size: \"many\" is not a size");
    refused(cache::open("memory:?max_size=-1").await, "negative");
    refused(cache::open("memory:?max_entries=0").await, "at least 1");
    refused(
        cache::open("memory:?max_size=-5MB").await,
        "option max_size: \"-5MB\" is not a size: it is negative",
    );
    refused(cache::open("memory:?max_entries=-1").await, "option max_entries: \"-1\" is negative");
    refused(cache::open("memory:?max_entries=1.5").await, "not a whole number");
    refused(
        cache::open("memory:?policy=mru").await,
        "\"mru\" is unknown; there are tiny-lfu, lru, lfu, unbounded",
    );
    refused(
        cache::open("disk:/tmp/x?policy=lru").await,
        "\"policy\" is unknown; disk takes max_size, max_blob",
    );
    refused(
        cache::open("redb:/x?cache_size=unlimited").await,
        "option cache_size: \"unlimited\" is not a size",
    );
    refused(
        cache::open("redb:/x?durable_puts=1").await,
        "option durable_puts: \"1\" is neither true nor false",
    );
    refused(cache::open("redb:/x?cache=1").await, "\"cache\" is unknown; redb takes max_size, max_entries");
    refused(cache::open("disk:/x?read_only=true").await, "\"read_only\" is unknown; disk takes");
    refused(cache::open("memory:/path").await, "memory: has no path");
    refused(cache::open("disk:/tmp/x?max_entries=3").await, "\"max_entries\" is unknown");
}

#[tokio::test]
async fn malformed_urls_are_refused() {
    refused(cache::open("").await, "store URL \"\"");
    refused(cache::open("/var/cache").await, "write for example memory: or disk:/abs/path");
    refused(cache::open("disk:relative/path").await, "absolute path");
    refused(cache::open("disk:").await, "absolute path");
    refused(cache::open("disk://host/path").await, "must not have a host");
    refused(cache::open("disk:/path#fragment").await, "fragment");
    refused(cache::open("disk:/a%00b").await, "NUL");
    refused(cache::open("disk:/a%ffb").await, "not UTF-8");
    refused(cache::open("disk:/a/../b").await, "dot segments");
    refused(cache::open("disk:/a/%2e%2E/b").await, "dot segments");
    refused(cache::open("disk:/a%2fb").await, "encoded /");
    refused(cache::open("disk:%2ftmp").await, "encoded /");
    refused(cache::open("disk:/a%zz").await, "two hex digits");
    refused(cache::open("disk:/a%é").await, "two hex digits");
    refused(cache::open("disk:/").await, "absolute path");
    refused(cache::open("redb:x.redb").await, "redb takes an absolute path, such as /var/cache/build.redb");
    refused(cache::open(" memory:").await, "blanks");
    refused(cache::open("ftp:/x").await, "the scheme is unknown");
    refused(cache::open_tiers::<&str>([]).await, "no store URL");
}

#[tokio::test]
async fn secrets_in_urls_are_not_repeated() {
    for url in [
        "s3://key:CANARY@bucket/x",
        "disk://u:CANARY@h/p",
        "memory:?token=CANARY",
        "memory:?a=1&b=CANARY#CANARY",
    ] {
        let error = cache::open(url).await.unwrap_err();
        assert!(!format!("{error} {error:?} {}", error.to_line()).contains("CANARY"), "{error}");
    }
}

#[tokio::test]
async fn a_typo_in_the_last_url_opens_none() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = format!("disk:{}/new", dir.path().display());
    refused(cache::open_tiers([fresh.as_str(), "memory:?max_sise=1"]).await, "max_sise");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let twice = cache::open_tiers([fresh.as_str(), fresh.as_str()]).await;
    refused(twice, "is another tier's store");
    let zero = cache::open_tiers([fresh.as_str(), "memory:?max_entries=0"]).await;
    refused(zero, "at least 1");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_refused_and_left_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    refused(cache::open(&format!("disk:{}", file.path().display())).await, "is not a directory");
    assert!(file.path().is_file());
}
