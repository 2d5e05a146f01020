/// How a node is held. The intent modes stand on a node whose parts are held below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hook) enum Mode {
    /// Parts of it are shared.
    IntentShared,
    /// Parts of it are held alone.
    IntentExclusive,
    /// All of it is shared.
    Shared,
    /// All of it is held alone.
    Exclusive,
}

impl Mode {
    const ALL: [Self; 4] = [Self::IntentShared, Self::IntentExclusive, Self::Shared, Self::Exclusive];

    /// Whether two owners cannot hold a node as this and that.
    pub(super) fn conflicts(self, other: Self) -> bool {
        use Mode::{IntentExclusive, IntentShared, Shared};
        !matches!(
            (self, other),
            (IntentShared, IntentShared | IntentExclusive | Shared)
                | (IntentExclusive, IntentShared | IntentExclusive)
                | (Shared, IntentShared | Shared)
        )
    }
}

/// How often a node is held in each mode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    intent_shared: usize,
    intent_exclusive: usize,
    shared: usize,
    exclusive: usize,
}

impl Counts {
    pub(super) fn of(&self, mode: Mode) -> usize {
        match mode {
            Mode::IntentShared => self.intent_shared,
            Mode::IntentExclusive => self.intent_exclusive,
            Mode::Shared => self.shared,
            Mode::Exclusive => self.exclusive,
        }
    }

    pub(super) fn of_mut(&mut self, mode: Mode) -> &mut usize {
        match mode {
            Mode::IntentShared => &mut self.intent_shared,
            Mode::IntentExclusive => &mut self.intent_exclusive,
            Mode::Shared => &mut self.shared,
            Mode::Exclusive => &mut self.exclusive,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        Mode::ALL.iter().all(|mode| self.of(*mode) == 0)
    }

    /// Whether whoever holds this holds `mode` as well.
    pub(super) fn covers(&self, mode: Mode) -> bool {
        self.exclusive > 0
            || match mode {
                Mode::IntentShared => !self.is_none(),
                Mode::IntentExclusive => self.intent_exclusive > 0,
                Mode::Shared => self.shared > 0,
                Mode::Exclusive => false,
            }
    }

    /// Whether these owners, one of which has `own`, leave room for that one to hold `mode`.
    pub(super) fn leave_room(&self, own: &Self, mode: Mode) -> bool {
        let others = |held: Mode| self.of(held).saturating_sub(own.of(held).min(1));
        Mode::ALL.iter().all(|held| !held.conflicts(mode) || others(*held) == 0)
    }
}
