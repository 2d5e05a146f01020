/// The window, then two lists for each doubling of the frequency.
const LISTS: usize = 16;
const NONE: u32 = u32::MAX;
const FREQUENCY: u64 = 0xFF;
const WINDOW: u64 = 0x100;
const WEIGHT_SHIFT: u32 = 9;
const WEIGHT: u64 = 0xF;
const STAMP_SHIFT: u32 = 13;
const LAST: u64 = u64::MAX >> STAMP_SHIFT;

/// The entries of a shard in first-in, first-out lists: a window for newcomers, and one for each class of
/// frequency. An entry is the shard's index of it, and costs 16 bytes.
///
/// The rank of an entry is the time it was put on its list and, on top of it, how long it may stay there
/// unused. So each list is in the order of ranks, and the first of all is the least of the lists' heads.
#[derive(Debug)]
pub(super) struct Lists {
    nodes: Vec<Node>,
    lists: [List; LISTS],
    len: usize,
    in_window: usize,
    window_weight: u64,
}

/// An entry on its list. One of no frequency is on none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    previous: u32,
    next: u32,
    /// The stamp, the logarithm of the weight, whether it is in the window, the frequency.
    packed: u64,
}

#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
    /// That of the head.
    rank: u64,
    /// How long an entry may stay here unused.
    stay: u64,
}

/// An entry and its rank. The smallest rank goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) index: u32,
    pub(crate) rank: u64,
}

impl Lists {
    /// Outside of the window an entry may stay for `least` unused, and `doubling` longer for each doubling of
    /// its frequency.
    pub(super) fn new(least: u64, doubling: u64) -> Self {
        let mut lists = [List { head: NONE, tail: NONE, rank: u64::MAX, stay: 0 }; LISTS];
        for frequency in 1..=u8::MAX {
            if let Some(list) = lists.get_mut(class(frequency))
                && list.stay == 0
            {
                list.stay = least + stay(frequency, doubling);
            }
        }
        Self { nodes: Vec::new(), lists, len: 0, in_window: 0, window_weight: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn in_window(&self) -> usize {
        self.in_window
    }

    /// Indices that were ever in use are below.
    pub(super) fn slots(&self) -> usize {
        self.nodes.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
    }

    /// None of an entry that is on no list.
    pub(super) fn get(&self, index: u32) -> Option<Node> {
        self.nodes.get(index as usize).copied().filter(|node| node.frequency() > 0)
    }

    /// That of the entries in the window, each rounded up to a power of two.
    pub(super) fn window_weight(&self) -> u64 {
        self.window_weight
    }

    pub(super) fn push_window(&mut self, index: u32, frequency: u8, weight: u64, now: u64) {
        let doublings = u64::from(weight.max(1).saturating_mul(2).saturating_sub(1).ilog2()).min(WEIGHT);
        self.in_window += 1;
        self.window_weight += 1 << doublings;
        self.push(index, 0, doublings << WEIGHT_SHIFT | WINDOW | u64::from(frequency.max(1)), now);
    }

    pub(super) fn push_main(&mut self, index: u32, frequency: u8, now: u64) {
        self.push(index, class(frequency), u64::from(frequency.max(1)), now);
    }

    /// Back to the end of the list that it was taken from.
    pub(super) fn push_again(&mut self, index: u32, node: Node, now: u64) {
        if node.in_window() {
            self.push_window(index, node.frequency(), node.weight(), now);
        } else {
            self.push_main(index, node.frequency(), now);
        }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Node> {
        let node = self.get(index)?;
        self.len -= 1;
        if node.in_window() {
            self.in_window -= 1;
            self.window_weight -= node.weight();
        }
        if let Some(gone) = self.nodes.get_mut(index as usize) {
            gone.packed = 0;
        }
        if let Some(previous) = self.nodes.get_mut(node.previous as usize) {
            previous.next = node.next;
        }
        if let Some(next) = self.nodes.get_mut(node.next as usize) {
            next.previous = node.previous;
        }
        let head = self.nodes.get(node.next as usize).map(Node::stamp);
        if let Some(list) = self.lists.get_mut(node.list()) {
            if node.previous == NONE {
                list.head = node.next;
                list.rank = head.map_or(u64::MAX, |stamp| stamp + list.stay);
            }
            if node.next == NONE {
                list.tail = node.previous;
            }
        }
        Some(node)
    }

    /// The oldest of the window.
    pub(super) fn window(&self) -> Option<Ranked> {
        self.lists.first().and_then(List::first)
    }

    /// The first to go of those outside of the window.
    pub(super) fn main(&self) -> Option<Ranked> {
        self.lists.iter().skip(1).min_by_key(|list| list.rank).and_then(List::first)
    }

    fn push(&mut self, index: u32, list: usize, packed: u64, now: u64) {
        let slots = index as usize + 1;
        if self.nodes.len() < slots {
            self.nodes.resize(slots, Node { previous: NONE, next: NONE, packed: 0 });
        }
        self.len += 1;
        let stamp = now.min(LAST);
        let Some(list) = self.lists.get_mut(list) else { return };
        let previous = std::mem::replace(&mut list.tail, index);
        if previous == NONE {
            list.head = index;
            list.rank = stamp + list.stay;
        }
        if let Some(node) = self.nodes.get_mut(index as usize) {
            *node = Node { previous, next: NONE, packed: packed | stamp << STAMP_SHIFT };
        }
        if let Some(previous) = self.nodes.get_mut(previous as usize) {
            previous.next = index;
        }
    }
}

impl List {
    fn first(&self) -> Option<Ranked> {
        (self.head != NONE).then_some(Ranked { index: self.head, rank: self.rank })
    }
}

impl Node {
    pub(super) fn frequency(&self) -> u8 {
        u8::try_from(self.packed & FREQUENCY).unwrap_or(u8::MAX)
    }

    /// When it was put on its list.
    pub(super) fn stamp(&self) -> u64 {
        self.packed >> STAMP_SHIFT
    }

    pub(super) fn in_window(&self) -> bool {
        self.packed & WINDOW != 0
    }

    fn weight(&self) -> u64 {
        1 << (self.packed >> WEIGHT_SHIFT & WEIGHT)
    }

    /// Its frequency with so many uses more, halved for each `half_life` that began since its stamp.
    pub(super) fn used(&self, uses: u8, now: u64, half_life: u64) -> u8 {
        let halvings = (now / half_life).saturating_sub(self.stamp() / half_life);
        let before =
            u32::try_from(halvings).ok().and_then(|by| self.frequency().checked_shr(by)).unwrap_or(0);
        before.saturating_add(uses).max(1)
    }

    fn list(&self) -> usize {
        if self.in_window() { 0 } else { class(self.frequency()) }
    }
}

/// The list of a frequency: 1; 2, 3; 4 and 5, 6 and 7; 8 to 11, 12 to 15; and so on.
fn class(frequency: u8) -> usize {
    let doublings = frequency.max(1).ilog2();
    let upper = if doublings == 0 { 1 } else { u32::from(frequency >> (doublings - 1) & 1) };
    (2 * doublings + upper) as usize
}

/// How long the least frequency of a class stays: a doubling for each of its doublings, and the logarithm of
/// 1.5 for the half between.
fn stay(frequency: u8, doubling: u64) -> u64 {
    let doublings = frequency.max(1).ilog2();
    let whole = doubling * u64::from(doublings);
    if frequency.is_power_of_two() { whole } else { whole + doubling * 599 / 1024 }
}

#[cfg(test)]
mod tests;
