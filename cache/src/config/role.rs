//! What the tiers of a configuration are for, and what is contradictory in it.

use std::time::Duration;

use cache_core::ByteSize;

use super::{QuorumConfig, TierConfig};
use crate::kind::ROLE;

const SHORTEST: Duration = Duration::from_millis(1);
const SMALLEST_QUEUE: ByteSize = ByteSize::new(64 << 10);

impl TierConfig {
    /// Says what is wrong with what this tier is for, whatever the others are.
    pub(super) fn check_role(&self) -> Result<(), String> {
        for (field, value, known) in [
            ("write", &self.write, &["through", "behind", "spill", "never"][..]),
            ("promotion", &self.promotion, &["inline", "background", "never"]),
            ("when_full", &self.when_full, &["wait", "refuse"]),
        ] {
            if let Some(value) = value.as_deref().filter(|value| !known.contains(value)) {
                let known: Vec<_> = known.iter().map(|name| format!("{name:?}")).collect();
                return Err(format!("{field} is one of {}, not {value:?}", known.join(", ")));
            }
        }
        // As others may write to a bucket, which do not know what only this process has.
        if self.is_for_spill() && self.bucket.is_some() {
            return Err(
                "write is \"spill\", which is for a store of this process alone, and not for a bucket".into(),
            );
        }
        for (field, value) in [("deadline", self.deadline), ("breaker_pause", self.breaker_pause)] {
            if value.is_some_and(|value| value < SHORTEST) {
                return Err(format!("{field} must be at least 1ms"));
            }
        }
        if self.queue_size.is_some_and(|size| size < SMALLEST_QUEUE) {
            return Err("queue_size must be at least 64KiB".into());
        }
        if self.breaker_failures == Some(0) && self.breaker_pause.is_some() {
            return Err("breaker_failures is 0, and breaker_pause has no use without a breaker".into());
        }
        if self.read == Some(false) && (self.is_never_written() || self.is_for_spill()) {
            let write = self.write.as_deref().unwrap_or_default();
            return Err(format!("read is false, and a tier with write = {write:?} is there to be read"));
        }
        Ok(())
    }

    /// What it says that only a tier has a use for.
    fn role(&self) -> Option<&'static str> {
        let said = self.fields().into_iter().filter(|(_, value)| value.is_some()).map(|(field, _)| field);
        let mut said = said.filter(|field| ROLE.contains(field));
        // To be written by every put is what a store alone is, too.
        said.find(|field| *field != "write" || !self.is_through())
    }
}

/// What is contradictory in what these tiers are for: the place of the tier at fault, and why.
pub(crate) fn contradiction(tiers: &[TierConfig]) -> Option<(usize, String)> {
    tiers.iter().enumerate().find_map(|(at, tier)| {
        let before = tiers.get(..at).unwrap_or_default();
        let is_last = at + 1 == tiers.len();
        misplaced(tier, before, is_last).map(|why| (at, why))
    })
}

fn misplaced(tier: &TierConfig, before: &[TierConfig], is_last: bool) -> Option<String> {
    let is_alone = before.is_empty() && is_last;
    if tier.is_for_spill() {
        match before.last() {
            None => return Some("it is for spill, and there is no tier before it".into()),
            Some(faster) if faster.kind != "memory" => {
                let kind = &faster.kind;
                return Some(format!(
                    "it is for spill, and {kind} before it does not hand on what it evicts"
                ));
            }
            Some(_) if before.iter().any(TierConfig::is_for_spill) => {
                return Some("one tier at most is for spill, and there is another before it".into());
            }
            Some(_) => {}
        }
    }
    if let Some(field) = tier.role().filter(|_| is_alone) {
        return Some(format!("{field} says what a tier is for among others, and this store is alone"));
    }
    if tier.is_never_written() && !is_last {
        return Some("it is never written, and so has to be the slowest tier".into());
    }
    if tier.is_read_only() && !tier.is_never_written() && !is_alone {
        let why = "it is read-only, and a put goes to every tier";
        return Some(format!("{why}: open it alone, or as the slowest tier with write = \"never\""));
    }
    let is_unread = |tier: &TierConfig| tier.read == Some(false);
    if before.iter().any(is_unread) && !is_unread(tier) {
        return Some("it is read and stands behind one that is not".into());
    }
    if before.iter().all(is_unread) && is_unread(tier) && is_last {
        return Some("no tier is read".into());
    }
    None
}

/// What is contradictory in the quorum.
pub(crate) fn out_of_reach(quorum: Option<QuorumConfig>, tiers: &[TierConfig]) -> Option<String> {
    let quorum = quorum?;
    if let Err(why) = quorum.check() {
        return Some(why);
    }
    let QuorumConfig::AtLeast(least) = quorum else { return None };
    if tiers.iter().any(TierConfig::is_for_spill) {
        return Some("a quorum goes with tiers that are written by puts, and one is for spill".into());
    }
    let through = tiers.iter().filter(|tier| tier.is_through()).count();
    (least > through).then(|| format!("the quorum is {least}, and {through} tiers are written through"))
}
