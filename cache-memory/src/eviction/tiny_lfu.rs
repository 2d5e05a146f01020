use super::{
    clock::{Clock, turns},
    lists::{Lists, Node, Ranked},
    sketch::Sketch,
};

/// The window has this share of the entries, and of their bytes.
const WINDOW: usize = 100;
/// The window of a shard may hold so many more until entries leave it though nothing has to go.
const SPILL: usize = 16;
/// Uses count half after so long, and an entry used twice as often may stay unused so much longer.
const HALF_LIFE: u64 = turns(5);
/// Outside of the window any entry may stay unused for so long.
const LEAST_STAY: u64 = turns(1);
/// An entry is given up after it was unused for longer than this over its frequency.
const PATIENCE: u64 = turns(20);
/// More uses than these do not shorten the patience.
const FREQUENT: u8 = 32;
/// Entries looked at for one that goes; then the first one goes unseen, so that no put waits for a look at
/// all that were read since the last one.
const LOOKS: usize = 64;

/// The entries of a shard, of which a newcomer stays only if it was asked for more often than the one that
/// would have to go (W-TinyLFU).
///
/// A newcomer waits in a small window. At its end it moves on if it was read there, or if the sketch of what
/// was evicted knows it better than the first entry outside; else it goes. Outside of the window entries
/// are ordered by classes of frequency and age. Hits only count in the entry's own counter, which is looked
/// at when the entry is the next to go, or when the sweep meets it: the sweep goes over the entries once
/// per turn, and gives up those that were frequent and have fallen silent.
///
/// The clock moves when an entry competes for its place: when it was read in the window or is known to the
/// sketch. A pass over many that nobody asks for again makes the others hardly older.
#[derive(Debug)]
pub(crate) struct TinyLfu {
    lists: Lists,
    sketch: Sketch,
    /// Where the sweep goes on, and how many entries it has to look at.
    hand: usize,
    due: usize,
}

impl Default for TinyLfu {
    fn default() -> Self {
        let lists = Lists::new(LEAST_STAY, HALF_LIFE);
        Self { lists, sketch: Sketch::default(), hand: 0, due: 0 }
    }
}

impl TinyLfu {
    pub(super) fn insert(&mut self, index: u32, hash: u64, weight: u64, clock: &Clock, held: u64) {
        let seen = self.sketch.estimate(hash);
        self.sketch.admit(self.lists.len() + 1);
        if seen > 0 {
            self.compete(clock, held);
        }
        let now = clock.tick(held);
        self.lists.push_window(index, seen + 1, weight, now);
        if self.lists.in_window() > 2 * self.share() + SPILL
            && let Some(oldest) = self.lists.window()
            && let Some(node) = self.lists.remove(oldest.index)
        {
            self.lists.push_main(oldest.index, node.frequency(), now);
        }
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.lists.remove(index);
    }

    pub(super) fn evicted(&mut self, index: u32, hash: u64, uses: u8) {
        if let Some(node) = self.lists.remove(index) {
            self.sketch.raise(hash, node.frequency().saturating_add(uses));
        }
    }

    /// The one to go as far as it is known without a look at the counters.
    pub(super) fn first(&self) -> Option<Ranked> {
        let window = self.lists.window();
        if self.overflows() { window } else { self.lists.main().or(window) }
    }

    pub(super) fn victim(
        &mut self,
        clock: &Clock,
        held: u64,
        take_uses: &mut impl FnMut(u32) -> u8,
    ) -> Option<Ranked> {
        self.sweep(clock, take_uses);
        for _ in 0..LOOKS {
            let window = self.lists.window();
            if let Some(oldest) = window {
                let uses = take_uses(oldest.index);
                if uses > 0 {
                    self.compete(clock, held);
                    self.replace(oldest.index, uses, clock.now());
                    continue;
                }
            }
            let Some(main) = self.lists.main() else { return window };
            let uses = take_uses(main.index);
            if uses > 0 {
                self.replace(main.index, uses, clock.now());
                continue;
            }
            let Some(newcomer) = window.filter(|_| self.overflows()) else { return Some(main) };
            if main.rank >= newcomer.rank
                && self.frequency(newcomer) <= self.frequency(main).saturating_add(1)
            {
                return Some(newcomer);
            }
            if let Some(node) = self.lists.remove(newcomer.index) {
                self.lists.push_main(newcomer.index, node.frequency(), clock.now());
            }
        }
        self.first()
    }

    pub(super) fn take(&mut self, index: u32) -> Option<Node> {
        self.lists.remove(index)
    }

    pub(super) fn put_back(&mut self, index: u32, node: Node, clock: &Clock) {
        self.lists.push_again(index, node, clock.now());
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lists.bytes() + self.sketch.bytes()
    }

    fn share(&self) -> usize {
        self.lists.len() / WINDOW
    }

    fn overflows(&self) -> bool {
        self.lists.window_weight() > self.share() as u64
    }

    fn frequency(&self, entry: Ranked) -> u8 {
        self.lists.get(entry.index).map_or(0, |node| node.frequency())
    }

    fn compete(&mut self, clock: &Clock, held: u64) {
        clock.turn(held);
        self.due += 1;
    }

    /// To where it belongs by its uses, outside of the window.
    fn replace(&mut self, index: u32, uses: u8, now: u64) {
        if let Some(node) = self.lists.remove(index) {
            self.lists.push_main(index, node.used(uses, now, HALF_LIFE), now);
        }
    }

    fn sweep(&mut self, clock: &Clock, take_uses: &mut impl FnMut(u32) -> u8) {
        let looks = self.due.min(LOOKS);
        self.due = (self.due - looks).min(self.lists.slots());
        for _ in 0..looks {
            self.hand = if self.hand + 1 < self.lists.slots() { self.hand + 1 } else { 0 };
            let Ok(index) = u32::try_from(self.hand) else { continue };
            let Some(node) = self.lists.get(index).filter(|node| !node.in_window()) else { continue };
            let now = clock.now();
            let uses = take_uses(index);
            let unused = now.saturating_sub(node.stamp());
            if uses > 0 {
                self.replace(index, uses, now);
            } else if node.frequency() > 1 && unused * u64::from(node.frequency().min(FREQUENT)) > PATIENCE {
                self.lists.remove(index);
                self.lists.push_main(index, 1, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
