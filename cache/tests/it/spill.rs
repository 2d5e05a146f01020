//! A tier that takes what memory evicts.

use cache::{Config, Digest, PutStatus};

use crate::refused;

#[tokio::test]
async fn contradictory_roles_are_refused_and_nothing_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let disk = |name: &str| format!("disk:{}/{name}?write=spill", dir.path().display());
    let through = format!("disk:{}/through", dir.path().display());
    let one = disk("one");
    refused(cache::open(&one).await, "there is no tier before it");
    refused(cache::open_tiers([&*through, &one]).await, "disk before it does not hand on");
    refused(cache::open_tiers(["memory:", &one, &disk("two")]).await, "disk before it does not hand on");
    let chain = cache::open_tiers(["memory:", "memory:?write=spill", &one]).await;
    refused(chain, "another before it");
    refused(cache::open_tiers(["memory:", &one.replace("spill", "sometimes")]).await, "\"sometimes\"");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_url_and_a_configuration_say_the_role_alike() {
    let text = "[[tiers]]\nkind = \"memory\"\n[[tiers]]\nkind = \"disk\"\npath = \"/x\"\nwrite = \"spill\"";
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!(config, Config::from_urls(["memory:", "disk:/x?write=spill"]).unwrap());
    assert_eq!(config.tiers[1].write.as_deref(), Some("spill"));
    let wrong = toml::from_str::<Config>(&text.replace("spill", "sometimes")).unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("write is one of \"through\", \"behind\", \"spill\", \"never\", not \"sometimes\""),
        "{wrong}"
    );
}

#[tokio::test]
async fn what_memory_evicts_is_on_disk_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let disk = format!("disk:{}?write=spill", dir.path().display());
    let cache = cache::open_tiers(["memory:?max_size=300", &disk]).await.unwrap();
    for number in 0..20_u8 {
        let outcome = cache.put(Digest::of([number]), vec![number; 100]).await.unwrap();
        let tiers: Vec<_> = outcome.tiers.iter().map(|(_, status)| *status).collect();
        assert_eq!(tiers[0], PutStatus::Stored);
        assert_ne!(tiers[1], PutStatus::Stored, "a put went past memory");
    }
    let spilled = cache.store().metrics();
    assert_eq!(
        (spilled.tiers.len(), spilled.tiers[0].1.spills, spilled.tiers[0].1.entries),
        (2, 17, Some(3))
    );
    for number in 0..20_u8 {
        assert_eq!(cache.get(Digest::of([number])).await.unwrap().unwrap(), vec![number; 100]);
    }
    cache.close(None).await.unwrap();
    let again = cache::open_tiers(["memory:?max_size=300", &disk]).await.unwrap();
    for number in 0..20_u8 {
        assert_eq!(again.get(Digest::of([number])).await.unwrap().unwrap(), vec![number; 100]);
    }
}
