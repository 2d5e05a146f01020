//! Stores in buckets of a server that is there, opened by URL and by configuration.

use std::time::{Duration, Instant};

use cache::{Cache, CleanPolicy, Config, Digest, ErrorKind, Limit, PutStatus, TierConfig};
use cache_s3_server::{Fault, Operation, Server, ServerOptions, When};

use crate::refused;

fn server() -> Server {
    Server::start(ServerOptions::new().with_bucket("bucket")).unwrap()
}

/// What the URL says, at this server, with its key.
fn tier(server: &Server, url: &str) -> TierConfig {
    let mut tier: TierConfig = url.parse().unwrap();
    tier.endpoint = Some(server.endpoint());
    tier.allow_http = Some(true);
    tier.access_key_id = Some(server.key().into());
    tier.secret_access_key = Some(server.secret().into());
    tier
}

async fn open(server: &Server, url: &str) -> cache::Result<Cache> {
    cache::open_config(&Config::new([tier(server, url)])).await
}

#[tokio::test]
async fn s3_is_opened_by_configuration_and_says_where_it_is() {
    let server = server();
    let config = format!(
        r#"
        [[tiers]]
        kind = "s3"
        bucket = "bucket"
        prefix = "team/cache"
        region = "eu-central-1"
        endpoint = "{}"
        allow_http = true
        access_key_id = "{}"
        secret_access_key = "{}"
        max_size = "1GB"
        max_blob = "1MiB"
        owned = true
        "#,
        server.endpoint(),
        server.key(),
        server.secret()
    );
    let config: Config = toml::from_str(&config).unwrap();
    let cache = cache::open_config(&config).await.unwrap();
    let info = cache.info();
    assert_eq!(info.kind.as_ref(), "s3");
    assert_eq!(info.location, format!("{}/bucket/team/cache", server.endpoint()));
    assert_eq!((info.max_bytes, info.max_blob_bytes), (Some(1_000_000_000), Some(1 << 20)));
    cache.put(Digest::of("k"), "v").await.unwrap();
    cache.close(None).await.unwrap();
    let names = server.contents().names("bucket");
    assert!(names.iter().all(|name| name.starts_with("team/cache/")) && names.len() == 1, "{names:?}");

    let again = cache::open_config(&config).await.unwrap();
    assert_eq!(again.get(Digest::of("k")).await.unwrap().unwrap(), "v");
    again.close(None).await.unwrap();
}

#[tokio::test]
async fn a_bucket_is_the_slowest_tier_and_answers_where_the_others_are_new() {
    let server = server();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let tiers = |dir: &tempfile::TempDir| {
        let disk = format!("disk:{}", dir.path().display());
        let fast = Config::from_urls(["memory:?max_size=1MB", &disk]).unwrap().tiers;
        Config::new(fast.into_iter().chain([tier(&server, "s3://bucket/x"), tier(&server, "s3://bucket/y")]))
    };
    let one = cache::open_config(&tiers(&dirs[0])).await.unwrap();
    let outcome = one.put(Digest::of("k"), "v").await.unwrap();
    let told: Vec<_> = outcome.tiers.iter().map(|(name, status)| (&**name, *status)).collect();
    let stored = PutStatus::Stored;
    assert_eq!(told, [("memory", stored), ("disk", stored), ("s3", stored), ("s3-2", stored)]);
    one.close(None).await.unwrap();

    let other = cache::open_config(&tiers(&dirs[1])).await.unwrap();
    assert_eq!(other.get(Digest::of("k")).await.unwrap().unwrap(), "v");
    other.flush().await.unwrap();
    server.log().clear();
    assert_eq!(other.get(Digest::of("k")).await.unwrap().unwrap(), "v");
    assert!(server.log().is_empty(), "what is in memory was asked of the bucket");
    other.close(None).await.unwrap();
}

#[tokio::test]
async fn an_absent_bucket_is_an_error_that_names_it_unless_it_is_to_be_made() {
    let server = server();
    let error = open(&server, "s3://elsewhere/x").await.unwrap_err();
    assert!(error.to_line().contains("elsewhere"), "{}", error.to_line());
    assert_ne!(error.kind(), ErrorKind::NotFound);
    assert_eq!(server.contents().buckets(), ["bucket"]);
    let made = open(&server, "s3://elsewhere/x?auto_create=true").await.unwrap();
    assert_eq!(made.get(Digest::of("k")).await.unwrap(), None);
    assert_eq!(server.contents().buckets(), ["bucket", "elsewhere"]);
    made.close(None).await.unwrap();
}

#[tokio::test]
async fn without_owning_it_nothing_is_cleaned() {
    let server = server();
    let shared = open(&server, "s3://bucket/x").await.unwrap();
    shared.put(Digest::of("k"), "v").await.unwrap();
    let policy = CleanPolicy::default().with_max_bytes(0);
    let error = shared.clean(&policy).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    shared.close(None).await.unwrap();
    let owned = open(&server, "s3://bucket/x?owned=true").await.unwrap();
    owned.clean(&policy).await.unwrap();
    assert_eq!(owned.get(Digest::of("k")).await.unwrap(), None);
    owned.close(None).await.unwrap();
    let mut limited = tier(&server, "s3://bucket/x");
    limited.max_size = Some(Limit::Max(1));
    refused(cache::open_config(&Config::new([limited])).await, "tier 1 (s3): max_size removes entries");
}

#[tokio::test]
async fn a_server_that_hangs_costs_the_timeout_and_is_no_miss() {
    let server = server();
    let cache = open(&server, "s3://bucket?timeout=1s&retries=1").await.unwrap();
    server.fail(Fault::Hang, When::from(1));
    let begun = Instant::now();
    let error = cache.get(Digest::of("k")).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    server.mend();
    cache.close(None).await.unwrap();
}

#[tokio::test]
async fn secrets_show_nowhere() {
    const CANARY: &str = "cAnArY";
    let options = ServerOptions::new().with_bucket("bucket").with_credentials("AKIDcAnArY", "secretcAnArY");
    let server = Server::start(options).unwrap();
    let mut said = String::new();
    let mut tier = tier(&server, "s3://bucket?timeout=1s&retries=0");
    tier.session_token = Some("tokencAnArY".into());
    let mut config = Config::new([TierConfig::new("memory"), tier]);
    said.push_str(&format!("{config:?}"));
    let cache = cache::open_config(&config).await.unwrap();
    cache.put(Digest::of("k"), "v").await.unwrap();
    said.push_str(&format!(
        "{cache:?} {:?} {:?} {:?}",
        cache.info(),
        cache.metrics(),
        cache.store().metrics()
    ));
    for fault in
        [Fault::access_denied(), Fault::internal_error(), Fault::Drop, Fault::captive_portal(), Fault::Hang]
    {
        server.fail(fault, When::from(1).of(Operation::GetObject));
        if let Err(error) = cache
            .store()
            .get(
                &cache::Key::new(cache::Namespace::root(), Digest::of("absent")),
                &cache::BlobName::default(),
                cache::GetOptions::default(),
            )
            .await
        {
            said.push_str(&format!("{error} {error:?} {error:#?} {}", error.to_line()));
        }
        server.mend();
    }
    cache.close(None).await.unwrap();
    config.tiers[1].secret_access_key = Some("anothercAnArY".into());
    let error = cache::open_config(&config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    said.push_str(&format!("{error} {error:?} {error:#?} {}", error.to_line()));
    assert!(!said.contains(CANARY), "{said}");
}

#[cfg(feature = "gcs")]
#[tokio::test]
async fn a_bucket_of_google_is_opened_by_url() {
    let options = ServerOptions::new().with_bucket("bucket").with_dialect(|dialect| dialect.gcs = true);
    let server = Server::start(options).unwrap();
    let url = format!("gs://bucket/x?endpoint={}&allow_http=true&anonymous=true", server.endpoint());
    let cache = cache::open(&url).await.unwrap();
    cache.put(Digest::of("k"), "v").await.unwrap();
    assert_eq!(cache.get(Digest::of("k")).await.unwrap().unwrap(), "v");
    assert_eq!(cache.info().location, format!("{}/bucket/x", server.endpoint()));
    cache.close(None).await.unwrap();
}
