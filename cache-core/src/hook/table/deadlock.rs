use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use super::State;

impl<N: Clone + Eq + Hash> State<N> {
    /// Whether the waiter that holds `ticket` waits, through others, for itself.
    ///
    /// Searched from it to those who wait for it, which are few: most waiters hold nothing that others
    /// want. To be asked when it has just joined the queue: every new cycle leads through the last who
    /// began to wait, as what is granted is granted to an operation that runs.
    ///
    /// An operation gives back what it took when those nested in it are done. So a waiter blocks those
    /// who want what it and the operations around it took, and not those who want what an operation
    /// beside it took: that one runs on.
    pub(super) fn waits_for_itself(&self, node: &N, ticket: u64) -> bool {
        let mut known = HashSet::new();
        let mut swept: HashMap<&N, u64> = HashMap::new();
        let mut blocking = vec![(node, ticket)];
        while let Some((node, blocker)) = blocking.pop() {
            let Some(at) = self.nodes.get(node) else { continue };
            let Some(waiter) = at.waiter(blocker) else { continue };
            let mut blocked: Vec<(&N, u64)> = Vec::new();
            let until = swept.entry(node).or_insert(u64::MAX);
            for (behind, _) in at.behind(blocker, *until) {
                *until = (*until).min(behind);
                blocked.push((node, behind));
            }
            for operation in &*waiter.asker.operations {
                for (held, mode) in self.taken.get(operation).into_iter().flatten() {
                    let Some((held, at)) = self.nodes.get_key_value(held) else { continue };
                    let owner = at.owner(&waiter.asker);
                    let others =
                        at.waiters().filter(|(_, other)| other.owner != owner && other.mode.conflicts(*mode));
                    blocked.extend(others.map(|(other, _)| (held, other)));
                }
            }
            for (node, other) in blocked {
                if other == ticket {
                    return true;
                }
                if known.insert(other) {
                    blocking.push((node, other));
                }
            }
        }
        false
    }
}
