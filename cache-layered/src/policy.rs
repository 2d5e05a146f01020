use crate::{Quorum, tier::Tier};

/// When a tier of a [`LayeredStore`](crate::LayeredStore) is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WritePolicy {
    /// By every put, before it returns.
    #[default]
    Through,
    /// By every put that is in hand, after it returned: it waits in memory, where reads find it, and a flush or a
    /// close writes it if nothing else has before. Streams and merges are written by their puts.
    Behind,
    /// Only with what the tier directly above it evicts, or is too small for.
    Spill,
    /// By nobody: what others keep there can be read. Evictions leave it alone, too. It is the slowest.
    Never,
}

/// What is contradictory in the policies of these tiers.
pub(crate) fn contradiction(tiers: &[Tier], quorum: Quorum) -> Option<String> {
    roles(tiers).or_else(|| spills(tiers)).or_else(|| out_of_reach(tiers, quorum))
}

/// What is contradictory in the quorum.
fn out_of_reach(tiers: &[Tier], quorum: Quorum) -> Option<String> {
    let Quorum::AtLeast(least) = quorum else { return None };
    let through = tiers.iter().filter(|tier| tier.options.write == WritePolicy::Through).count();
    if tiers.iter().any(|tier| tier.options.write == WritePolicy::Spill) {
        return Some("a quorum goes with tiers that are written by puts, and one is for spill".to_owned());
    }
    if !(1..=through).contains(&least) {
        return Some(format!("the quorum is {least}, and {through} tiers are written through"));
    }
    None
}

/// What is contradictory in who is read and who is written.
fn roles(tiers: &[Tier]) -> Option<String> {
    let mut unread: Option<&Tier> = None;
    let mut unwritten: Option<&Tier> = None;
    for tier in tiers {
        let name = &tier.name;
        if let Some(unwritten) = unwritten {
            return Some(format!("{:?} is never written, and so has to be the slowest tier", unwritten.name));
        }
        if let (Some(unread), true) = (unread, tier.options.read) {
            return Some(format!("{name:?} is read and stands behind {:?}, which is not", unread.name));
        }
        unread = unread.or((!tier.options.read).then_some(tier));
        unwritten = (tier.options.write == WritePolicy::Never).then_some(tier);
    }
    if tiers.iter().all(|tier| !tier.options.read) {
        return Some("no tier is read".to_owned());
    }
    if tiers.iter().all(|tier| tier.options.write == WritePolicy::Never) {
        return Some("no tier is written".to_owned());
    }
    None
}

/// What is contradictory in what is handed on.
fn spills(tiers: &[Tier]) -> Option<String> {
    let mut above: Option<&Tier> = None;
    let mut spills = 0;
    for tier in tiers {
        let name = &tier.name;
        let is_spill = tier.options.write == WritePolicy::Spill;
        let is_written_otherwise = tier.options.write != WritePolicy::Through;
        if tier.source.is_some() && (tier.options.deadline.is_some() || (is_written_otherwise && !is_spill)) {
            return Some(format!(
                "{name:?} hands on what it evicts: it is written through, without a deadline"
            ));
        }
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
