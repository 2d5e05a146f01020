//! What was asked of a store, and which states may be found after a crash.

use std::collections::{BTreeMap, BTreeSet};

use cache_core::Key;

use crate::tests::Contents;

pub(crate) type State = BTreeMap<Key, Contents>;

/// The operations, in their order.
#[derive(Default)]
pub(crate) struct History {
    steps: Vec<Step>,
    /// Whether entries may go by themselves.
    pub(crate) evicts: bool,
}

struct Step {
    /// How much was written down of the medium when it was asked for.
    asked: usize,
    what: What,
}

enum What {
    /// Changes that come in any order; each is the new content of an entry.
    Changed(Vec<(Key, Option<Contents>)>),
    /// All before it is durable when so much was written down.
    Flushed(usize),
}

impl History {
    /// Of a store in which entries may go by themselves, but for those before a flush after which nothing is asked.
    pub(crate) fn of_evicting() -> Self {
        Self { evicts: true, ..Self::default() }
    }

    pub(crate) fn changed(&mut self, asked: usize, changes: Vec<(Key, Option<Contents>)>) {
        self.steps.push(Step { asked, what: What::Changed(changes) });
    }

    pub(crate) fn flushed(&mut self, asked: usize, returned: usize) {
        self.steps.push(Step { asked, what: What::Flushed(returned) });
    }

    /// The store was seen to hold just these when it was flushed.
    pub(crate) fn flushed_as(&mut self, asked: usize, returned: usize, state: &State) {
        let gone = self.state().into_keys().filter(|key| !state.contains_key(key)).map(|key| (key, None));
        let gone = gone.collect();
        self.changed(asked, gone);
        self.flushed(asked, returned);
    }

    /// What was put and not removed.
    pub(crate) fn state(&self) -> State {
        let mut state = State::new();
        self.steps.iter().for_each(|step| step.apply(&mut state));
        state
    }

    pub(crate) fn flushes(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.what, What::Flushed(_))).count()
    }

    /// Says what is wrong with what was found after a crash at a moment: what was flushed is lost, an entry is none of
    /// its versions, or an operation shows without one before it.
    pub(crate) fn check(&self, after: usize, found: &State) -> Result<(), String> {
        let durable = |step: &Step| matches!(step.what, What::Flushed(returned) if returned <= after);
        let kept = self.steps.iter().rposition(durable).map_or(0, |at| at + 1);
        let mut state = State::new();
        self.steps[..kept].iter().for_each(|step| step.apply(&mut state));
        let begun = self.steps[kept..].iter().take_while(|step| step.asked < after);
        let mut evicts = false;
        let mut wrong = first_difference(found, &state, &[], false);
        for step in begun {
            if wrong.is_none() {
                return Ok(());
            }
            if let What::Changed(changes) = &step.what {
                evicts = self.evicts;
                wrong = first_difference(found, &state, changes, evicts);
            }
            if wrong.is_none() {
                return Ok(());
            }
            step.apply(&mut state);
            wrong = first_difference(found, &state, &[], evicts);
        }
        wrong.map_or(Ok(()), Err)
    }
}

impl Step {
    fn apply(&self, state: &mut State) {
        let What::Changed(changes) = &self.what else { return };
        for (key, to) in changes {
            match to {
                Some(contents) => state.insert(key.clone(), contents.clone()),
                None => state.remove(key),
            };
        }
    }
}

/// Where `found` is not `state` with some of the changes.
fn first_difference(
    found: &State,
    state: &State,
    changes: &[(Key, Option<Contents>)],
    evicts: bool,
) -> Option<String> {
    let changed = |key: &Key, found: Option<&Contents>| {
        changes.iter().any(|(other, to)| other == key && to.as_ref() == found)
    };
    let keys: BTreeSet<_> = found.keys().chain(state.keys()).collect();
    keys.into_iter().find_map(|key| {
        let (here, there) = (found.get(key), state.get(key));
        if here == there || changed(key, here) || (evicts && here.is_none()) {
            return None;
        }
        let names = |contents: Option<&Contents>| {
            contents.map(|contents| {
                contents.iter().map(|(name, bytes)| format!("{name}: {}", bytes.len())).collect::<Vec<_>>()
            })
        };
        Some(format!(
            "{key} is {:?}, after the last operations it may show it was {:?}",
            names(here),
            names(there)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{bytes, key};

    fn contents(seed: u64) -> Contents {
        Contents::from([("data".parse().unwrap(), bytes(seed, 10))])
    }

    fn state(entries: &[(u64, u64)]) -> State {
        entries.iter().map(|(number, seed)| (key("", *number), contents(*seed))).collect()
    }

    #[test]
    fn what_was_flushed_is_there_and_the_rest_in_its_order() {
        let mut history = History::default();
        let put = |number: u64, seed: u64| vec![(key("", number), Some(contents(seed)))];
        history.changed(0, put(1, 1));
        history.flushed(10, 20);
        history.changed(30, put(2, 2));
        history.changed(40, vec![(key("", 1), None)]);
        history.changed(50, [put(3, 3), put(4, 4)].concat());
        let check = |after, entries: &[(u64, u64)]| history.check(after, &state(entries)).is_ok();
        assert!(check(15, &[]) && check(15, &[(1, 1)]) && !check(20, &[]), "lost");
        assert!(check(31, &[(1, 1)]) && check(31, &[(1, 1), (2, 2)]) && !check(30, &[(1, 1), (2, 2)]));
        assert!(!check(31, &[(1, 2)]), "torn");
        assert!(check(60, &[(2, 2)]) && !check(60, &[]), "an eviction shows, and the put before it does not");
        assert!(check(60, &[(2, 2), (4, 4)]) && check(60, &[(2, 2), (3, 3)]), "in any order");
        assert!(!check(60, &[(1, 1), (4, 4)]));
    }

    #[test]
    fn what_may_be_evicted_may_be_absent_once_something_was_put() {
        let mut history = History::of_evicting();
        history.changed(0, vec![(key("", 1), Some(contents(1))), (key("", 2), Some(contents(2)))]);
        history.flushed_as(10, 20, &state(&[(2, 2)]));
        assert!(history.check(25, &state(&[(2, 2)])).is_ok());
        assert!(history.check(25, &state(&[])).is_err());
        assert!(history.check(25, &state(&[(1, 1), (2, 2)])).is_err());
        history.changed(30, vec![(key("", 3), Some(contents(3)))]);
        assert!(history.check(31, &state(&[(3, 3)])).is_ok());
        assert!(history.check(31, &state(&[(3, 4)])).is_err());
    }
}
