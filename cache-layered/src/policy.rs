use crate::tier::Tier;

/// When a tier of a [`LayeredStore`](crate::LayeredStore) is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WritePolicy {
    /// By every put, before it returns.
    #[default]
    Through,
    /// Only with what the tier directly above it evicts, or is too small for.
    Spill,
}

/// What is contradictory in the policies of these tiers.
pub(crate) fn contradiction(tiers: &[Tier]) -> Option<String> {
    let mut above: Option<&Tier> = None;
    let mut spills = 0;
    for tier in tiers {
        let name = &tier.name;
        let is_spill = tier.write == WritePolicy::Spill;
        match (above, is_spill) {
            (Some(Tier { source: Some(_), .. }), true) if tier.source.is_some() => {
                return Some(format!("tier {name:?} takes what is evicted, and cannot hand it on itself"));
            }
            (Some(Tier { source: Some(_), .. }), true) => spills += 1,
            (Some(faster), true) => {
                return Some(format!(
                    "tier {name:?} is for what {:?} evicts, which does not hand it on",
                    faster.name
                ));
            }
            (None, true) => return Some(format!("tier {name:?} is for spill, and nothing is faster")),
            (Some(Tier { source: Some(_), name: faster, .. }), false) => {
                return Some(format!("{faster:?} spills, and tier {name:?} below it does not take it"));
            }
            (_, false) => {}
        }
        above = Some(tier);
    }
    if let Some(Tier { source: Some(_), name, .. }) = above {
        return Some(format!("{name:?} spills, and there is no tier below it"));
    }
    (spills > 1).then(|| "one tier at most is for spill".to_owned())
}
