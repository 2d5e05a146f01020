//! Stores in buckets, described by URL and by configuration, whether or not their features are on.

use cache::{Config, TierConfig};

fn tier(url: &str) -> TierConfig {
    Config::from_urls([url]).unwrap().tiers.remove(0)
}

#[track_caller]
fn refused(url: &str, why: &str) {
    let error = url.parse::<TierConfig>().unwrap_err();
    assert_eq!(error.kind(), cache::ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[track_caller]
fn unreadable(fields: &str, why: &str) {
    let json = format!(r#"{{"tiers": [{{"kind": "s3", {fields}}}]}}"#);
    let error = serde_json::from_str::<Config>(&json).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_url_and_a_configuration_mean_the_same() {
    let urls = [
        "s3://build-cache",
        "s3://build.cache/team/a%20b%C3%A9/?region=eu-central-1&endpoint=http://127.0.0.1:9000&allow_http=true&auto_create=true",
        "s3://b-1/x?max_size=50GB&max_blob=1GiB&owned=true&timeout=1m%2030s&min_rate=256KiB&part_size=16MiB\
         &concurrent_parts=2&upload_age=48h&conditional_puts=false",
        "s3://b-1/y?virtual_hosted=true&bulk_delete=false&anonymous=true&connect_timeout=2s&retries=0&max_size=0",
        "gs://b-2/x?max_blob=7&timeout=500ms&service_account_path=/etc/key.json",
        "az://container/x/y?account=builds&owned=true&max_size=unlimited",
        "az://container/x?emulator=true&allow_http=true&endpoint=http://127.0.0.1:10000/devstoreaccount1",
    ];
    let config: Config = toml::from_str(
        r#"
        [[tiers]]
        kind = "s3"
        bucket = "build-cache"
        [[tiers]]
        kind = "s3"
        bucket = "build.cache"
        prefix = "team/a bé"
        region = "eu-central-1"
        endpoint = "http://127.0.0.1:9000"
        allow_http = true
        auto_create = true
        [[tiers]]
        kind = "s3"
        bucket = "b-1"
        prefix = "x"
        max_size = "50GB"
        max_blob = "1GiB"
        owned = true
        timeout = "90s"
        min_rate = "256KiB"
        part_size = "16MiB"
        concurrent_parts = 2
        upload_age = "2days"
        conditional_puts = false
        [[tiers]]
        kind = "s3"
        bucket = "b-1"
        prefix = "y"
        virtual_hosted = true
        bulk_delete = false
        anonymous = true
        connect_timeout = "2s"
        retries = 0
        max_size = 0
        [[tiers]]
        kind = "gcs"
        bucket = "b-2"
        prefix = "x"
        max_blob = 7
        timeout = "500ms"
        service_account_path = "/etc/key.json"
        [[tiers]]
        kind = "azure"
        bucket = "container"
        prefix = "x/y"
        account = "builds"
        owned = true
        max_size = "unlimited"
        [[tiers]]
        kind = "azure"
        bucket = "container"
        prefix = "x"
        emulator = true
        allow_http = true
        endpoint = "http://127.0.0.1:10000/devstoreaccount1"
        "#,
    )
    .unwrap();
    assert_eq!(Config::from_urls(urls).unwrap(), config);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config, "{text}");
}

#[test]
fn the_host_is_the_bucket_and_the_path_the_prefix() {
    for (url, bucket, prefix) in [
        ("s3://b", "b", None),
        ("s3://b/", "b", None),
        ("s3://b?region=x", "b", None),
        ("s3://b/?region=x", "b", None),
        ("s3://My_Bucket/p", "My_Bucket", Some("p")),
        ("s3://b/p/q/", "b", Some("p/q")),
        ("gs://b/p~%25", "b", Some("p~%")),
    ] {
        let tier = tier(url);
        assert_eq!((tier.bucket.as_deref(), tier.prefix.as_deref()), (Some(bucket), prefix), "{url}");
    }
    for url in ["s3:", "s3:bucket", "s3:/bucket/x", "s3://", "s3:///x", "s3://?region=x"] {
        refused(url, "write for example s3://bucket/prefix");
    }
    refused("gs:", "write for example gs://bucket/prefix");
    refused("s3://b%20c", "letters, digits, dots and dashes");
    refused("s3://../x", "letters, digits, dots and dashes");
    refused("s3://b//x", "empty part");
    refused("s3://b/x//", "empty part");
    refused("s3://b/../x", "dot segments");
    refused("s3://b/x/~y", "namespaces");
    refused("s3://b/a%2fb", "encoded /");
    refused("s3://b/a%0ab", "control characters");
    refused(&format!("s3://b/{}", "x".repeat(401)), "longer than 400 bytes");
    refused("s3://b/x#y", "fragment");
    refused("disk://b/x", "must not have a host");
    refused("azure://b/x", "the scheme is unknown; there are memory:, disk:, redb:, s3:, gs: and az:");
    unreadable(r#""region": "x""#, "s3 takes a bucket");
    unreadable(
        r#""bucket": "b", "path": "/x""#,
        r#""path" is unknown to s3, which takes bucket, prefix, region"#,
    );
    unreadable(r#""bucket": "b", "prefix": "x/""#, "the prefix has an empty part");
    unreadable(r#""bucket": "b", "prefix": "/x""#, "the prefix has an empty part");
}

#[test]
fn options_are_refused_by_name() {
    refused(
        "s3://b?regoin=x",
        "\"regoin\" is unknown; s3 takes region, virtual_hosted, auto_create, bulk_delete, endpoint, allow_http, anonymous, max_size",
    );
    refused("s3://b?write=spill", "which is for a store of this process alone");
    refused("s3://b?bucket=c", "\"bucket\" is unknown");
    refused("s3://b?account=x", "\"account\" is unknown");
    refused("gs://b?region=x", "\"region\" is unknown; gcs takes service_account_path, endpoint");
    refused("az://b?auto_create=x", "\"auto_create\" is unknown; azure takes account");
    refused("disk:/x?owned=true", "\"owned\" is unknown; disk takes max_size");
    refused("s3://b?owned=yes", "option owned: \"yes\" is neither true nor false");
    refused("s3://b?timeout=30", "option timeout: \"30\" is not a duration; write for example 30s");
    refused("s3://b?timeout=0s", "timeout is at least 1ms");
    refused("s3://b?min_rate=0", "min_rate is at least 1");
    refused("s3://b?part_size=1MiB", "part_size is 5MiB to 5GiB");
    refused("s3://b?concurrent_parts=65", "concurrent_parts is 1 to 64");
    refused("s3://b?concurrent_parts=-1", "option concurrent_parts: \"-1\" is not a whole number");
    refused("s3://b?retries=101", "retries is up to 100");
    refused("s3://b?connect_timeout=0s", "connect_timeout is at least 1ms");
    refused("az://b", "azure takes an account");
    refused("s3://b?endpoint=localhost:9000", "the endpoint is the URL of a server");
    refused("s3://b?endpoint=http://localhost:9000", "needs allow_http = true");
    refused("s3://b?endpoint=https://localhost/%3Fx", "must not have a query");
    for (fields, why) in [
        (r#""access_key_id": "x""#, "go together"),
        (r#""session_token": "x""#, "session_token needs access_key_id"),
        (
            r#""anonymous": true, "access_key_id": "x", "secret_access_key": "x""#,
            "it is anonymous, and has credentials",
        ),
    ] {
        unreadable(&format!(r#""bucket": "b", {fields}"#), why);
    }
    unreadable(r#""bucket": "b", "timeout": 30"#, "invalid type");
    unreadable(r#""bucket": "b", "timeout": "soon""#, "\"soon\" is not a duration");
    unreadable(r#""bucket": "b", "regoin": "x""#, "unknown field `regoin`");
    unreadable(r#""bucket": "b", "max_entries": 3"#, r#""max_entries" is unknown to s3"#);
}

#[test]
fn a_limit_needs_to_own_what_it_removes() {
    for (url, json) in [
        ("s3://b?max_size=1GB", r#""bucket": "b", "max_size": "1GB""#),
        ("s3://b?max_size=1&owned=false", r#""bucket": "b", "max_size": 1, "owned": false"#),
    ] {
        refused(url, "max_size removes entries, which needs owned = true");
        unreadable(json, "max_size removes entries, which needs owned = true");
    }
    assert_eq!(tier("s3://b?max_size=1GB&owned=true").owned, Some(true));
    assert_eq!(tier("s3://b?max_size=unlimited&max_blob=1").owned, None);
}

#[tokio::test]
async fn tiers_are_looked_at_before_any_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let disk = format!("disk:{}/new", dir.path().display());
    for (urls, why) in [
        (["s3://b/x", "s3://b/x/"], "is another tier's store"),
        (["s3://b/x?region=a", "s3://b/x?timeout=1s"], "is another tier's store"),
        (["s3://b", "memory:"], "the slowest tier \"memory\" ends with the process"),
        (["s3://b", "disk:/x?write=spill"], "does not hand on what it evicts"),
        (["memory:", "s3://b?max_size=1GB"], "needs owned = true"),
    ] {
        let opened = cache::open_tiers([disk.as_str(), urls[0], urls[1]]).await;
        // A build without the feature says that first.
        let why = if cfg!(feature = "s3") || why.contains("owned") { why } else { "the feature `s3`" };
        crate::refused(opened, why);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{urls:?}");
    }
}

const CANARY: &str = "cAnArY";

fn with_secrets() -> TierConfig {
    let config = format!(
        r#"{{"tiers": [{{"kind": "s3", "bucket": "b", "access_key_id": "{CANARY}1",
            "secret_access_key": "{CANARY}2", "session_token": "{CANARY}3"}}]}}"#
    );
    serde_json::from_str::<Config>(&config).unwrap().tiers.remove(0)
}

#[test]
fn secrets_are_read_and_never_shown() {
    let tier = with_secrets();
    assert_eq!(tier.secret_access_key.as_ref().unwrap().reveal(), format!("{CANARY}2"));
    let config = Config::new([tier.clone()]);
    let shown = format!("{config:?} {config:#?} {:?}", tier.session_token);
    assert!(shown.contains("secret_access_key: …") && !shown.contains(CANARY), "{shown}");
    for error in [
        serde_json::to_string(&config).unwrap_err().to_string(),
        toml::to_string(&config).unwrap_err().to_string(),
    ] {
        assert!(error.contains("a secret is not written") && !error.contains(CANARY), "{error}");
    }
    let mut faulty = tier;
    faulty.endpoint = Some(format!("https://user:{CANARY}@host"));
    let shown = format!("{faulty:?}");
    assert!(shown.contains("endpoint: …") && !shown.contains(CANARY), "{shown}");
}

#[test]
fn secrets_are_not_repeated_where_they_are_refused() {
    for url in [
        format!("s3://key:{CANARY}@bucket/x"),
        format!("s3://key:{CANARY}/{CANARY}@bucket/x"),
        format!("s3://{CANARY}@bucket"),
        format!("gs://key:{CANARY}@bucket:80/x?region=y"),
        format!("s3://key:{CANARY}?{CANARY}&{CANARY}@bucket/x"),
        format!("s3://key:{CANARY}/x?{CANARY}@bucket/x"),
        format!("s3://key:{CANARY}#{CANARY}@bucket/x"),
        format!("s3://b?access_key_id={CANARY}"),
        format!("s3://b?secret_access_key={CANARY}"),
        format!("az://b?session_token={CANARY}"),
        format!("az://b?account=a&sas={CANARY}"),
        format!("gs://b?service_account_key={CANARY}"),
        format!("s3://b?endpoint=https://key:{CANARY}@host"),
    ] {
        let error = url.parse::<TierConfig>().unwrap_err();
        let shown = format!("{error} {error:?} {}", error.to_line());
        assert!(shown.contains("credentials are no part of a URL"), "{shown}");
        assert!(!shown.contains(CANARY), "{shown}");
    }
    for url in [
        format!("s3://b?endpoint={CANARY}"),
        format!("s3://b?endpoint={CANARY}:{CANARY}@host"),
        format!("s3://b?endpoint=https://host/%3Ftoken={CANARY}"),
        format!("s3://b?token={CANARY}"),
        format!("s3:key:{CANARY}@bucket/x"),
        format!("s3:/key:{CANARY}@bucket/x"),
        format!("S3:key:{CANARY}/x"),
    ] {
        let error = url.parse::<TierConfig>().unwrap_err();
        assert!(!format!("{error} {error:?} {}", error.to_line()).contains(CANARY), "{error}");
    }
    for fields in [
        format!(r#""access_key_id": "{CANARY}""#),
        format!(r#""session_token": "{CANARY}""#),
        format!(r#""secret_access_key": ["{CANARY}"], "access_key_id": "x""#),
        r#""secret_access_key": 4711, "access_key_id": "x""#.to_owned(),
        format!(r#""endpoint": "https://u:{CANARY}@host""#),
    ] {
        let json = format!(r#"{{"tiers": [{{"kind": "s3", "bucket": "b", {fields}}}]}}"#);
        let error = serde_json::from_str::<Config>(&json).unwrap_err().to_string();
        assert!(!error.contains(CANARY) && !error.contains("4711"), "{error}");
    }
}
