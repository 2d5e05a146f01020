//! Entries that one member alone puts, in a store without a budget: what was put has to be there.

use std::collections::BTreeMap;

use cache_disk::DiskStore;

use super::member::read;

/// The versions that may be found of each of a member's own entries: the last one whose put returned, and
/// those begun since.
pub(crate) fn own_versions(log: &str) -> BTreeMap<u32, Vec<u64>> {
    let mut versions: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for line in log.lines() {
        let mut parts = line.split(' ');
        let what = parts.next().unwrap_or_default();
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok());
        if let ("b" | "d", Some(key), Some(version)) = (what, number(), number()) {
            let of_key = versions.entry(u32::try_from(key).unwrap()).or_default();
            if what == "b" {
                of_key.push(version);
            } else {
                *of_key = vec![version];
            }
        }
    }
    versions
}

/// Keys whose first put has returned.
pub(crate) fn own_put(log: &str) -> Vec<u32> {
    let key = |line: &str| line.strip_prefix("d ")?.split(' ').next()?.parse().ok();
    log.lines().filter_map(key).collect()
}

/// Looks at a member's own entries.
pub(crate) async fn check_own(store: &DiskStore, log: &str) -> Result<(), String> {
    let put = own_put(log);
    for (number, allowed) in own_versions(log) {
        let found = read(store, number).await?;
        match found.as_ref().and_then(|blobs| blobs.get("data")) {
            None if put.contains(&number) => return Err(format!("lost: key {number} of {allowed:?}")),
            Some(version) if !allowed.contains(version) => {
                return Err(format!("torn: key {number} is {version}, which is none of {allowed:?}"));
            }
            _ => {}
        }
    }
    Ok(())
}
