//! What tiers are for, as a configuration says it.

use cache::{Config, Digest, PutStatus, QuorumConfig, TierConfig};

use crate::refused;

const ALL: &str = r#"
    quorum = 1
    [[tiers]]
    kind = "memory"
    promotion = "background"
    max_entry = "1MiB"
    existence = false
    [[tiers]]
    kind = "disk"
    path = "/x"
    deadline = "2s"
    breaker_failures = 0
    [[tiers]]
    kind = "redb"
    path = "/y.redb"
    write = "behind"
    read = false
    queue_size = "64KiB"
    when_full = "refuse"
    breaker_failures = 3
    breaker_pause = "1m 30s"
"#;

#[test]
fn a_url_and_a_configuration_say_all_roles_alike() {
    let config: Config = toml::from_str(ALL).unwrap();
    let urls = [
        "memory:?promotion=background&max_entry=1MiB&existence=false",
        "disk:/x?deadline=2s&breaker_failures=0",
        "redb:/y.redb?write=behind&read=false&queue_size=64KiB&when_full=refuse&breaker_failures=3&breaker_pause=90s",
    ];
    assert_eq!(config, Config::from_urls(urls).unwrap().with_quorum(QuorumConfig::AtLeast(1)));
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config, "{text}");
    let every: Config = toml::from_str("quorum = \"all\"\ntiers = []").unwrap();
    assert_eq!(every.quorum, Some(QuorumConfig::All));
    assert!(toml::to_string(&every).unwrap().contains("quorum = \"all\""));
}

#[test]
fn values_of_roles_that_mean_nothing_are_refused_when_they_are_read() {
    for (field, value, why) in [
        (
            "write",
            "\"later\"",
            "write is one of \"through\", \"behind\", \"spill\", \"never\", not \"later\"",
        ),
        ("promotion", "\"yes\"", "promotion is one of \"inline\", \"background\", \"never\", not \"yes\""),
        ("when_full", "\"drop\"", "when_full is one of \"wait\", \"refuse\", not \"drop\""),
        ("read", "\"no\"", "expected a boolean"),
        ("max_entry", "\"unlimited\"", "not a size"),
        ("deadline", "\"0s\"", "deadline must be at least 1ms"),
        ("deadline", "\"soon\"", "\"soon\" is not a duration"),
        ("queue_size", "1000", "queue_size must be at least 64KiB"),
        ("breaker_failures", "-1", "-1"),
        ("breaker_pause", "\"1us\"", "breaker_pause must be at least 1ms"),
        ("breakers", "1", "unknown field `breakers`"),
    ] {
        let json = format!(r#"{{"tiers": [{{"kind": "memory", "{field}": {value}}}]}}"#);
        let error = serde_json::from_str::<Config>(&json).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    for (fields, why) in [
        (r#""breaker_failures": 0, "breaker_pause": "1s""#, "no use without a breaker"),
        (r#""read": false, "write": "never""#, "is there to be read"),
        (r#""read": false, "write": "spill""#, "is there to be read"),
    ] {
        let json = format!(r#"{{"tiers": [{{"kind": "memory", {fields}}}]}}"#);
        let error = serde_json::from_str::<Config>(&json).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    for quorum in ["0", "-1", "\"most\"", "true"] {
        let error =
            serde_json::from_str::<Config>(&format!(r#"{{"quorum": {quorum}, "tiers": []}}"#)).unwrap_err();
        assert!(error.to_string().contains("or a number from 1 on"), "{error}");
    }
}

#[tokio::test]
async fn contradictory_roles_are_refused_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let disk = |name: &str, role: &str| format!("disk:{}/{name}{role}", dir.path().display());
    let (a, memory) = (disk("a", ""), "memory:".to_owned());
    for (urls, why) in [
        (
            vec![disk("a", "?write=never"), disk("b", "")],
            "it is never written, and so has to be the slowest tier",
        ),
        (vec![memory.clone(), disk("a", "?read=false"), disk("b", "")], "stands behind one that is not"),
        (vec!["memory:?read=false".into(), disk("a", "?read=false")], "no tier is read"),
        (vec![disk("a", "?write=behind")], "write says what a tier is for among others"),
        (vec![disk("a", "?deadline=1s")], "deadline says what a tier is for among others"),
        (vec![a.clone(), memory.clone(), disk("b", "?write=never")], "ends with the process"),
    ] {
        refused(cache::open_tiers(&urls).await, why);
    }
    let stack = Config::from_urls([&*memory, &a, &disk("b", "?write=behind")]).unwrap();
    let quorum = stack.clone().with_quorum(QuorumConfig::AtLeast(3));
    refused(cache::open_config(&quorum).await, "the quorum is 3, and 2 tiers are written through");
    let spill = Config::from_urls([&*memory, &disk("b", "?write=spill")]).unwrap();
    let quorum = spill.with_quorum(QuorumConfig::AtLeast(1));
    refused(cache::open_config(&quorum).await, "one is for spill");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_tiers_are_for_is_kept_to() {
    let dir = tempfile::tempdir().unwrap();
    let disk = |name: &str| format!("disk:{}/{name}", dir.path().display());
    let shared = cache::open(&disk("shared")).await.unwrap();
    shared.put(Digest::of("theirs"), "v").await.unwrap();
    let urls = ["memory:?max_entry=10", &disk("own"), &format!("{}?write=never", disk("shared"))];
    let cache = cache::open_tiers(urls).await.unwrap();
    assert_eq!(cache.get(Digest::of("theirs")).await.unwrap().unwrap(), "v");
    let outcome = cache.put(Digest::of("ours"), vec![0; 100]).await.unwrap();
    assert_eq!(outcome.tiers[1].1, PutStatus::Stored);
    assert_ne!(outcome.tiers[0].1, PutStatus::Stored, "it is too large there");
    assert!(!shared.contains(Digest::of("ours")).await.unwrap(), "nobody writes there");
}

#[test]
fn a_tier_says_its_role_where_it_is_shown() {
    let tier: TierConfig = "disk:/x?write=behind&deadline=2s".parse().unwrap();
    let shown = format!("{tier:?}");
    assert!(shown.contains("write: behind") && shown.contains("deadline: 2s"), "{shown}");
}
