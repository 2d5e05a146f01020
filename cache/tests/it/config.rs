//! Stores described by configuration.

use std::path::Path;

use cache::{Config, Digest, Limit, PutStatus, TierConfig};

use crate::refused;

fn toml(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn disk(path: &Path) -> TierConfig {
    let mut tier = TierConfig::new("disk");
    tier.path = Some(path.to_owned());
    tier
}

#[tokio::test]
async fn tiers_are_built_in_the_order_given() {
    let dir = tempfile::tempdir().unwrap();
    let config = toml(&format!(
        r#"
        [[tiers]]
        kind = "memory"
        name = "hot"
        max_size = "256MB"
        max_entries = 10
        max_blob = "1MiB"
        policy = "lfu"
        [[tiers]]
        kind = "disk"
        path = "{0}/one"
        max_size = 5_000_000_000
        [[tiers]]
        kind = "disk"
        path = "{0}/two"
        max_size = "unlimited"
        max_blob = "2GiB"
        "#,
        dir.path().display()
    ));
    let cache = cache::open_config(&config).await.unwrap();
    let tiers: Vec<_> = cache
        .info()
        .tiers
        .into_iter()
        .map(|(name, info)| (name.to_string(), info.max_bytes, info.max_entries, info.max_blob_bytes))
        .collect();
    assert_eq!(
        tiers,
        [
            ("hot".to_owned(), Some(256_000_000), Some(10), Some(1 << 20)),
            ("disk".to_owned(), Some(5_000_000_000), None, None),
            ("disk-2".to_owned(), None, None, Some(2 << 30)),
        ]
    );
    let outcome = cache.put(Digest::of("k"), "v").await.unwrap();
    assert!(outcome.tiers.iter().all(|(_, status)| *status == PutStatus::Stored));
    assert!(dir.path().join("one").is_dir() && dir.path().join("two").is_dir());
}

#[tokio::test]
async fn one_tier_is_opened_alone() {
    let config: Config = serde_json::from_str(r#"{"tiers": [{"kind": "memory"}]}"#).unwrap();
    let info = cache::open_config(&config).await.unwrap().info();
    assert_eq!((info.kind.as_ref(), info.max_bytes), ("memory", Some(2_000_000_000)));
}

#[test]
fn a_url_and_a_configuration_mean_the_same() {
    let urls = [
        "memory:?max_size=1MB&max_entries=unlimited&max_blob=7&policy=lru",
        "disk:/var/a%20b?max_size=unlimited&max_blob=1.5GiB",
        "redb:/var/c.redb?max_size=1GB&max_entries=10&max_blob=7&cache_size=1MiB&durable_puts=true&write=spill",
        "redb:/var/d.redb?read_only=true&durable_puts=false",
    ];
    let config = toml(
        r#"
        [[tiers]]
        kind = "memory"
        max_size = "1MB"
        max_entries = "unlimited"
        max_blob = 7
        policy = "lru"
        [[tiers]]
        kind = "disk"
        path = "/var/a b"
        max_size = "unlimited"
        max_blob = "1.5GiB"
        [[tiers]]
        kind = "redb"
        path = "/var/c.redb"
        max_size = "1GB"
        max_entries = 10
        max_blob = 7
        cache_size = "1MiB"
        durable_puts = true
        write = "spill"
        [[tiers]]
        kind = "redb"
        path = "/var/d.redb"
        durable_puts = false
        read_only = true
        "#,
    );
    assert_eq!(Config::from_urls(urls).unwrap(), config);
    assert_eq!(config.tiers[0].max_size, Some(Limit::Max(1_000_000)));
}

#[track_caller]
fn round_trips(config: &Config) {
    let json = serde_json::to_string(config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), *config, "{json}");
    let toml = toml::to_string(config).unwrap();
    assert_eq!(toml::from_str::<Config>(&toml).unwrap(), *config, "{toml}");
}

#[test]
fn what_is_written_reads_back() {
    round_trips(&Config::default());
    round_trips(&Config::from_urls(["memory:", "disk:/x"]).unwrap());
    let redb = "redb:/x?max_entries=3&cache_size=1.5GiB&durable_puts=true&read_only=false&write=through";
    round_trips(&Config::from_urls([redb]).unwrap());
    let mut named = TierConfig::new("memory");
    named.name = Some("fast \"one\"".into());
    named.policy = Some("lfu".into());
    named.max_size = Some(Limit::Unlimited);
    named.max_blob = Some(Limit::Max(u64::MAX));
    named.max_entries = Some(Limit::Max(u64::MAX));
    round_trips(&Config::new([named, disk("/a b/é".as_ref())]));
    let plain = serde_json::to_string(&Config::new([TierConfig::new("memory")])).unwrap();
    assert_eq!(plain, r#"{"tiers":[{"kind":"memory"}]}"#);
}

/// Refused when it is read, in either format.
#[track_caller]
fn unreadable(json: &str, why: &str) {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let error = serde_json::from_value::<Config>(value.clone()).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
    let text = toml::to_string(&value).unwrap();
    let error = toml::from_str::<Config>(&text).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn an_unknown_kind_is_refused_by_name_when_it_is_read() {
    let why = r#"the kind "redis" is unknown; there are "memory", "disk", "redb", "s3", "gcs" and "azure""#;
    unreadable(r#"{"tiers": [{"kind": "memory"}, {"kind": "redis"}]}"#, why);
    unreadable(r#"{"tiers": [{"path": "/x"}]}"#, "missing field `kind`");
    unreadable("{}", "missing field `tiers`");
}

#[test]
fn unknown_fields_are_refused_when_they_are_read() {
    unreadable(r#"{"tiers": [], "tires": []}"#, "unknown field `tires`, expected `quorum` or `tiers`");
    unreadable(r#"{"tiers": [{"kind": "memory", "max_sise": 1}]}"#, "unknown field `max_sise`");
    let why = r#""path" is unknown to memory, which takes max_size"#;
    unreadable(r#"{"tiers": [{"kind": "memory", "path": "/x"}]}"#, why);
    let why = r#""max_entries" is unknown to disk, which takes path, max_size, max_blob"#;
    unreadable(r#"{"tiers": [{"kind": "disk", "path": "/x", "max_entries": 3}]}"#, why);
}

#[test]
fn values_that_mean_nothing_are_refused_when_they_are_read() {
    for (field, value, why) in [
        ("max_entries", "-1", "the limit -1 is negative"),
        ("max_entries", "\"-1\"", "\"-1\" is negative"),
        ("max_entries", "\"5KB\"", "\"5KB\" is not a whole number"),
        ("max_size", "-5", "the limit -5 is negative"),
        ("max_size", "\"-5MB\"", "\"-5MB\" is not a size: it is negative"),
        ("max_size", "\"many\"", "\"many\" is not a size"),
        ("max_size", "1.5", "expected a limit"),
        ("max_blob", "true", "expected a limit"),
        ("policy", "\"mru\"", "the policy \"mru\" is unknown; there are tiny-lfu, lru, lfu, unbounded"),
        ("name", "\"\"", "the name is empty"),
    ] {
        unreadable(&format!(r#"{{"tiers": [{{"kind": "memory", "{field}": {value}}}]}}"#), why);
    }
    for path in ["relative", "", "/", "/a/../b", "/a\\u0000b"] {
        unreadable(&format!(r#"{{"tiers": [{{"kind": "disk", "path": "{path}"}}]}}"#), "path");
    }
    unreadable(r#"{"tiers": [{"kind": "disk"}]}"#, "disk takes an absolute path");
    unreadable(
        r#"{"tiers": [{"kind": "redb"}]}"#,
        "redb takes an absolute path, such as /var/cache/build.redb",
    );
    for (fields, why) in [
        (r#""cache_size": "unlimited""#, "\"unlimited\" is not a size"),
        (r#""cache_size": -1"#, "-1"),
        (r#""durable_puts": "yes""#, "expected a boolean"),
        (r#""read_only": true, "durable_puts": true"#, "it is read-only and takes no puts"),
        (r#""read_only": true, "write": "spill""#, "it is read-only and takes no puts"),
        (r#""policy": "lru""#, r#""policy" is unknown to redb"#),
    ] {
        unreadable(&format!(r#"{{"tiers": [{{"kind": "redb", "path": "/x", {fields}}}]}}"#), why);
    }
    let why = r#""cache_size" is unknown to disk"#;
    unreadable(r#"{"tiers": [{"kind": "disk", "path": "/x", "cache_size": 1}]}"#, why);
}

#[tokio::test]
async fn faults_are_refused_by_place_and_nothing_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = disk(&dir.path().join("new"));
    let faulty = |fault: fn(&mut TierConfig)| {
        let mut second = TierConfig::new("memory");
        fault(&mut second);
        Config::new([fresh.clone(), second])
    };
    for (config, why) in [
        (
            faulty(|tier| tier.kind = "redis".into()),
            "tier 2 (redis): the kind \"redis\" is unknown; there are",
        ),
        (faulty(|tier| tier.path = Some("/x".into())), "tier 2 (memory): \"path\" is unknown to memory"),
        (faulty(|tier| tier.policy = Some("mru".into())), "tier 2 (memory): the policy \"mru\" is unknown"),
        (faulty(|tier| tier.name = Some("disk".into())), "tier 2 (memory): two tiers are named \"disk\""),
        (faulty(|tier| tier.name = Some(String::new())), "tier 2 (memory): the name is empty"),
        (faulty(|tier| tier.max_entries = Some(Limit::Max(0))), "max_entries must be at least 1"),
        (faulty(|tier| tier.kind = "disk".into()), "tier 2 (disk): disk takes an absolute path"),
        (Config::new([fresh.clone(), fresh.clone()]), "tier \"disk-2\" is another tier's store"),
        (faulty(|_| {}), "tier 2 (memory): the slowest tier \"memory\" ends with the process"),
        (Config::default(), "the configuration has no tiers"),
    ] {
        refused(cache::open_config(&config).await, why);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{why}");
    }
}

#[test]
fn a_limit_that_is_null_is_absent() {
    let json = r#"{"tiers": [{"kind": "memory", "name": null, "path": null, "max_size": null,
        "max_entries": null, "max_blob": null, "policy": null}]}"#;
    assert_eq!(serde_json::from_str::<Config>(json).unwrap(), Config::new([TierConfig::new("memory")]));
}

#[test]
fn dot_segments_in_a_path_are_refused_wherever_they_stand() {
    for path in ["/a/./b", "/a/.", "/./a", "/a/..", "/a/../b"] {
        unreadable(&format!(r#"{{"tiers": [{{"kind": "disk", "path": "{path}"}}]}}"#), "dot segments");
    }
    let named: Config =
        serde_json::from_str(r#"{"tiers": [{"kind": "disk", "path": "/a/.b/...c/d."}]}"#).unwrap();
    assert_eq!(named.tiers.len(), 1);
}

#[tokio::test]
async fn every_fault_is_told_by_place() {
    let mut second = TierConfig::new("memory");
    second.max_entries = Some(Limit::Max(0));
    let config = Config::new([TierConfig::new("memory"), second]);
    refused(cache::open_config(&config).await, "tier 2 (memory): max_entries must be at least 1");
    refused(
        cache::open("memory:?max_entries=0").await,
        "store URL \"memory:?max_entries\": max_entries must",
    );
}
