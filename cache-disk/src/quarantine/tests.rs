use cache_core::Namespace;

use super::*;

const RANDOM: &str = "0123456789abcdef";

fn name(namespace: &str, now: SystemTime) -> String {
    let namespace: Namespace = namespace.parse().unwrap();
    name_of(&Key::new(namespace, Digest::of("k")), now, RANDOM)
}

#[test]
fn a_name_tells_when_which_and_where() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_269_900_123);
    let digest = Digest::of("k");
    assert_eq!(name("", now), format!("20261121T140500.123Z-{digest}-01234567"));
    assert_eq!(name("Team/x86", now), format!("20261121T140500.123Z-{digest}-01234567-~%54eam+~x86"));
}

#[test]
fn any_time_and_any_namespace_has_a_name_of_its_own_kind() {
    let day = Duration::from_secs(86_400);
    let far = SystemTime::UNIX_EPOCH + day * 365 * 50_000;
    let long = vec!["ö".repeat(32); 2].join("/");
    for now in [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH - day, far] {
        for namespace in ["", "a", &long] {
            let name = name(namespace, now);
            assert!(is_name(&name) && name.len() <= NAME_BYTES, "{name}");
        }
    }
    assert!(name("", SystemTime::UNIX_EPOCH - day).starts_with("19700101T"));
    assert!(name("", far).starts_with("99991231T"));
}

#[test]
fn strangers_have_other_names() {
    let good = name("", SystemTime::UNIX_EPOCH);
    for stranger in ["", "notes.txt", "lost+found", &good[1..], &good[..good.len() - 1], &format!("{good}x")]
    {
        assert!(!is_name(stranger), "{stranger}");
    }
}
