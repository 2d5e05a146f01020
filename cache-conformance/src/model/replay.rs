use std::{collections::BTreeMap, time::Duration};

use cache_core::{CleanReport, Key, ListOptions, Namespace, Store, Usage};
use futures::{TryStreamExt, future};
use tokio::time::timeout;

use super::{
    Budget, Model,
    ask::{Answer, ask, judge},
    modified,
    step::{At, NAMES, NAMESPACES, Place, Step, clean_policy, entry, put_options},
};
use crate::{Factory, Setup};

/// Carries out a sequence on a store that is opened for it, and compares each answer with the model's, and
/// all that is there at the end. Beside the setup stands what a budget may count for an entry besides its
/// blobs; `number` is that of the sequence: no other one uses its place.
pub(crate) async fn replay(
    factory: &dyn Factory,
    (setup, added): (&Setup, u64),
    number: u64,
    steps: &[Step],
    patience: Duration,
) -> Result<(), String> {
    let store =
        factory.open(setup).await.map_err(|error| format!("The store does not open: {}", error.to_line()))?;
    let info = store.info();
    let budget = setup
        .max_bytes
        .map(|max| Budget { stores: max.saturating_sub(added), holds: info.max_bytes.unwrap_or(max) });
    let mut replay = Replay {
        factory,
        setup,
        store: Some(store),
        place: Place::new(number),
        model: Model::new(budget, (info.powers.dated, !info.tiers.is_empty())),
    };
    for (number, step) in (1..).zip(steps) {
        let done = timeout(patience, replay.step(number, step)).await;
        let done = done.unwrap_or_else(|_| Err(format!("No answer within {patience:?}.")));
        done.map_err(|wrong| format!("step {number}, {step}: {wrong}"))?;
    }
    let done = timeout(patience, replay.end()).await;
    done.unwrap_or_else(|_| Err(format!("No answer within {patience:?}.")))
        .map_err(|wrong| format!("at the end: {wrong}"))
}

struct Replay<'a> {
    factory: &'a dyn Factory,
    setup: &'a Setup,
    /// Only while it is opened again, there is none.
    store: Option<std::sync::Arc<dyn Store>>,
    place: Place,
    model: Model,
}

type Found<T = ()> = Result<T, String>;

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
fn failed(error: cache_core::Error) -> String {
    format!("It fails: {}", error.to_line())
}

impl Replay<'_> {
    fn store(&self) -> Found<&dyn Store> {
        self.store.as_deref().ok_or_else(|| "There is no store.".to_owned())
    }

    async fn step(&mut self, number: usize, step: &Step) -> Found {
        match step {
            Step::Put { at, mode, blobs, hours } => {
                let (put, known) = entry(&self.place, blobs, *hours, number);
                let key = self.place.key(*at);
                let options = put_options(&self.place, *mode, *hours);
                let outcome = self.store()?.put(&key, put, options).await.map_err(failed)?;
                self.model.put(&key, &known, *mode, outcome.is_stored())
            }
            Step::Evict { at } => {
                let key = self.place.key(*at);
                self.store()?.evict(&key).await.map_err(failed)?;
                self.model.evict(&key);
                Ok(())
            }
            Step::Clean { scope, hours, bytes } => {
                self.clean(&self.place.namespace(scope), *hours, *bytes).await
            }
            Step::Flush => self.flush().await,
            Step::Reopen => self.reopen().await,
            question => {
                let answer = ask(self.store()?, &self.place, question).await.map_err(failed)?;
                let answer = answer.ok_or("There is no answer.")?;
                judge(&mut self.model, &self.place, question, answer)
            }
        }
    }

    async fn flush(&self) -> Found {
        let store = self.store()?;
        let report = store.flush().await.map_err(failed)?;
        if report.durable != store.info().powers.durable {
            return Err(format!("{report:?}"));
        }
        if let Some(budget) = self.model.budget() {
            let usage = store.usage(&Namespace::root()).await.map_err(failed)?;
            if usage.bytes > budget.holds {
                return Err(format!("{usage} are left under a budget of {} bytes.", budget.holds));
            }
        }
        Ok(())
    }

    async fn reopen(&mut self) -> Found {
        self.flush().await?;
        let durable = self.store()?.info().powers.durable;
        self.store()?.close(None).await.map_err(failed)?;
        self.store = None;
        self.store = Some(self.factory.open(self.setup).await.map_err(failed)?);
        if !durable {
            self.model.clear();
        }
        Ok(())
    }

    async fn clean(&mut self, scope: &Namespace, hours: Option<u64>, bytes: Option<u64>) -> Found {
        let before = self.held(scope).await?;
        // Else all of it was written just now, whatever it was told.
        let dated = self.model.is_dated();
        let policy = clean_policy(hours, bytes);
        let report = self.store()?.clean(scope, &policy).await.map_err(failed)?;
        let after = self.held(scope).await?;
        let mut expected = CleanReport::default();
        (expected.kept_entries, expected.kept_bytes) = (after.1.entries, after.1.bytes);
        expected.evicted_entries = before.1.entries.saturating_sub(after.1.entries);
        expected.evicted_bytes = before.1.bytes.saturating_sub(after.1.bytes);
        if self.model.budget().is_none() && report != expected {
            return Err(format!("The report is {report:?}, of {} there are {} left.", before.1, after.1));
        }
        if bytes.is_some_and(|max| after.1.bytes > max) {
            return Err(format!("{} are left.", after.1));
        }
        // Of those that went for their size, one was needed.
        let mut needed = None;
        for (key, counted) in &before.0 {
            let states = self.model.states(key);
            let outdated = |state: &super::Entry| {
                dated
                    && hours
                        .zip(modified(state))
                        .is_some_and(|(hours, made)| self.place.is_outdated(made, hours))
            };
            let is_outdated = !states.contains(&None) && states.iter().flatten().all(outdated);
            match (is_outdated, after.0.contains_key(key)) {
                (true, true) => return Err(format!("{key} is outdated and still there.")),
                (false, false) => {
                    let enough = bytes.is_some_and(|max| after.1.bytes + counted > max);
                    needed = Some(needed.unwrap_or(false) || enough);
                }
                _ => {}
            }
            if is_outdated || self.model.budget().is_none() && !after.0.contains_key(key) {
                self.model.evict(key);
            }
        }
        match needed {
            Some(false) if self.model.budget().is_none() => {
                Err(format!("More went than needed: of {} there are {} left.", before.1, after.1))
            }
            _ => Ok(()),
        }
    }

    /// The entries of a scope with the bytes that count, and their sums.
    async fn held(&self, scope: &Namespace) -> Found<(BTreeMap<Key, u64>, Usage)> {
        let store = self.store()?;
        let listed = store.list(ListOptions::below(scope)).map_ok(|entry| {
            let counted = entry.counted_bytes();
            (entry.key, counted)
        });
        let listed = listed.try_collect().await.map_err(failed)?;
        Ok((listed, store.usage(scope).await.map_err(failed)?))
    }

    /// Asks for everything, and leaves nothing.
    async fn end(&mut self) -> Found {
        let mut questions = Vec::new();
        for at in At::all() {
            for streamed in [false, true] {
                questions.push(Step::GetEntry { at, streamed });
            }
            questions.extend([Step::Contains { at }, Step::Meta { at }]);
            for name in NAMES {
                questions.push(Step::Get { at, name, range: None, streamed: false });
                questions.push(Step::GetNow { at, name });
            }
        }
        for scope in NAMESPACES {
            for recursive in [false, true] {
                questions.push(Step::List { scope, recursive, prefix: None, after: None, limit: None });
            }
            questions.push(Step::Usage { scope });
        }
        let store = self.store()?;
        let answers = questions.iter().map(|question| ask(store, &self.place, question));
        let answers: Vec<Option<Answer>> = future::try_join_all(answers).await.map_err(failed)?;
        for (question, answer) in questions.iter().zip(answers) {
            let answer = answer.ok_or("There is no answer.")?;
            judge(&mut self.model, &self.place, question, answer)
                .map_err(|wrong| format!("{question}: {wrong}"))?;
        }
        self.clean(&self.place.namespace(""), None, Some(0)).await?;
        self.store()?.close(None).await.map_err(failed)?;
        Ok(())
    }
}
