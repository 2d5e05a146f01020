//! Random steps against a map: whatever fails meanwhile, reads see the newest value or, where the tier has lost it,
//! none; never another one.

use std::collections::BTreeMap;

use cache_core::{GetOptions, KeyManagement, ListOptions, PutEntry, PutMode, PutOptions, Refusal};
use futures::TryStreamExt;
use proptest::prelude::*;

use super::*;
use crate::WhenFull;

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8, u16),
    Merge(u8, u8),
    Evict(u8),
    Owe(u8, bool),
    Flush,
    Sleep(u16),
    Fault(Fault),
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Sick,
    Denied,
    Full,
    Hanging,
    None,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        Just(Fault::Sick),
        Just(Fault::Denied),
        Just(Fault::Full),
        Just(Fault::Hanging),
        Just(Fault::None),
        Just(Fault::None),
    ];
    let step = prop_oneof![
        6 => (0..4_u8, 0..30_000_u16).prop_map(|(key, len)| Step::Put(key, len)),
        2 => (0..4_u8, 0..2_u8).prop_map(|(key, name)| Step::Merge(key, name)),
        3 => (0..4_u8).prop_map(Step::Evict),
        2 => (0..4_u8, any::<bool>()).prop_map(|(key, put)| Step::Owe(key, put)),
        1 => Just(Step::Flush),
        2 => (0..500_u16).prop_map(Step::Sleep),
        3 => fault.prop_map(Step::Fault),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Which put each blob is of: its first bytes tell.
type Contents = BTreeMap<BlobName, u64>;

fn number_of(bytes: &Bytes) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().unwrap())
}

/// What an entry may be. A fault may take it away at any time.
#[derive(Clone, Debug, Default)]
struct Entry {
    may_be: Vec<Contents>,
    may_be_gone: bool,
}

impl Entry {
    fn is(contents: Contents) -> Self {
        Self { may_be: vec![contents], may_be_gone: false }
    }

    fn gone() -> Self {
        Self { may_be: Vec::new(), may_be_gone: true }
    }
}

struct Case {
    tier: Tier,
    store: Behind,
    tally: Arc<Tally>,
    model: BTreeMap<u8, Entry>,
    dropped: u64,
    number: u64,
}

async fn contents(store: &impl Store, key: &Key) -> Contents {
    let read = store.get_entry(key, GetOptions::default()).await.unwrap();
    let blobs = read.map(|read| read.blobs).unwrap_or_default();
    blobs.into_iter().map(|(name, blob)| (name, number_of(blob.bytes().unwrap()))).collect()
}

fn place(number: u8) -> Key {
    key(&number.to_string())
}

impl Case {
    /// Bytes that no other put has.
    fn fresh(&mut self, len: usize) -> Bytes {
        self.number += 1;
        let mut bytes = self.number.to_be_bytes().to_vec();
        bytes.resize(len.max(8), 0);
        bytes.into()
    }

    /// What was given up since is not to be expected any more.
    fn forget_losses(&mut self) {
        let dropped = self.tally.snapshot().dropped;
        if dropped != self.dropped {
            self.dropped = dropped;
            self.model.values_mut().for_each(|entry| entry.may_be_gone = true);
        }
    }

    /// What a call comes to. One that hangs is helped in the end.
    async fn end<T>(&mut self, call: impl Future<Output = T>) -> T {
        tokio::pin!(call);
        if let Ok(answer) = tokio::time::timeout(Duration::from_secs(1), &mut call).await {
            return answer;
        }
        self.fault(Fault::None);
        call.await
    }

    async fn step(&mut self, step: Step) {
        let store = self.store.clone();
        match step {
            Step::Put(number, len) => {
                let value = self.fresh(usize::from(len));
                let key = place(number);
                let answer = self.end(store.put_bytes(&key, value.clone())).await;
                let new = Contents::from([(BlobName::DATA, number_of(&value))]);
                self.wrote(number, answer, |_| new.clone());
            }
            Step::Merge(number, name) => {
                let (name, value) = (BlobName::new(format!("blob {name}")).unwrap(), self.fresh(8));
                let entry = PutEntry::default().with(name.clone(), value.clone());
                let key = place(number);
                let merge = store.put(&key, entry, PutOptions::mode(PutMode::Merge));
                let answer = self.end(merge).await;
                // What was given up while it waited is not merged into.
                self.forget_losses();
                self.wrote(number, answer, |old| {
                    let mut new = old.clone();
                    new.insert(name.clone(), number_of(&value));
                    new
                });
            }
            Step::Evict(number) => match self.end(store.evict(&place(number))).await {
                Ok(()) => _ = self.model.insert(number, Entry::gone()),
                Err(_) => self.model.entry(number).or_insert_with(Entry::gone).may_be_gone = true,
            },
            Step::Owe(number, true) => {
                let value = self.fresh(100);
                let blobs = vec![(BlobName::DATA, value.clone())];
                if self.store.owe_put(&place(number), blobs, &PutOptions::default()) {
                    let new = Contents::from([(BlobName::DATA, number_of(&value))]);
                    self.model.insert(number, Entry::is(new));
                }
            }
            Step::Owe(number, false) => {
                if self.store.owe_evict(&place(number)) {
                    self.model.insert(number, Entry::gone());
                }
            }
            Step::Flush => {
                if self.end(store.flush()).await.is_ok() {
                    self.forget_losses();
                    self.assert_below().await;
                }
            }
            Step::Sleep(millis) => tokio::time::sleep(Duration::from_millis(u64::from(millis))).await,
            Step::Fault(fault) => self.fault(fault),
        }
    }

    fn wrote(&mut self, number: u8, answer: Result<PutOutcome>, apply: impl Fn(&Contents) -> Contents) {
        let before = self.model.get(&number).cloned().unwrap_or_else(Entry::gone);
        let mut after: Vec<_> = before.may_be.iter().map(&apply).collect();
        if before.may_be_gone {
            after.push(apply(&Contents::new()));
        }
        let entry = match answer {
            Ok(outcome) if outcome.is_stored() => Entry { may_be: after, may_be_gone: false },
            Ok(outcome) => {
                assert_eq!(outcome.status, cache_core::PutStatus::Refused(Refusal::NoRoom));
                Entry::gone()
            }
            Err(_) => before,
        };
        self.model.insert(number, entry);
    }

    fn fault(&self, fault: Fault) {
        self.tier.arm(When::Never);
        self.tier.inner().inner().release();
        self.tier.inner().release();
        match fault {
            Fault::Sick => fail(&self.tier, ErrorKind::Unavailable),
            Fault::Denied => fail(&self.tier, ErrorKind::Denied),
            Fault::Full => self.tier.inner().inner().set_room(0),
            Fault::Hanging => self.tier.inner().hang(),
            Fault::None => {}
        }
    }

    /// Whether each entry is what it may be; it is known better from there on.
    async fn assert_true(&mut self) {
        let mut present = Vec::new();
        for number in 0..4 {
            let found = contents(&self.store, &place(number)).await;
            self.forget_losses();
            let entry = self.model.entry(number).or_insert_with(Entry::gone);
            let known = if found.is_empty() { entry.may_be_gone } else { entry.may_be.contains(&found) };
            assert!(known, "{number} is {found:?}, and may be {entry:?}");
            if !found.is_empty() {
                present.push(place(number));
            }
        }
        present.sort();
        // Nothing else happens between two polls that are both ready.
        let listed: Vec<_> =
            self.store.list(ListOptions::default()).map_ok(|meta| meta.key).try_collect().await.unwrap();
        assert_eq!(listed, present);
        assert!(self.store.queued().1 <= QUEUE + 4 * 256);
    }

    /// A flush that succeeded: the tier has what reads see.
    async fn assert_below(&self) {
        for number in 0..4 {
            let (above, below) = (
                contents(&self.store, &place(number)).await,
                contents(self.tier.inner().inner(), &place(number)).await,
            );
            assert!(above == below, "a flush left out {number}");
        }
    }
}

fn run(steps: &[Step], when_full: WhenFull) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let tier = tier();
        let options = options().with_when_full(when_full).with_deadline(Duration::from_millis(300));
        let (store, tally) = behind_with(&tier, &options);
        let model = BTreeMap::new();
        let mut case = Case { tier, store, tally, model, dropped: 0, number: 0 };
        for step in steps {
            case.step(*step).await;
            case.assert_true().await;
        }
        // In the end all of it can be written.
        case.fault(Fault::None);
        let mut flushes = 0;
        while case.store.flush().await.is_err() {
            flushes += 1;
            assert!(flushes < 3, "losses are told once");
        }
        case.assert_true().await;
        case.assert_below().await;
        assert_eq!(case.store.queued(), (0, 0));
        assert_eq!(case.store.close(None).await.unwrap().left, 0);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_see_the_newest_value_whatever_fails(steps in steps(), refuses: bool) {
        run(&steps, if refuses { WhenFull::Refuse } else { WhenFull::Wait });
    }
}
