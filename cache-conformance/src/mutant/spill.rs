use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cache_core::{
    Blob, BlobName, EntryRead, EvictionSink, GetOptions, Handover, Key, KeyManagement, Powers, PutEntry,
    PutOptions, PutOutcome, Result, SpillSource, Store, StoreInfo,
};

use super::{
    Mutant,
    twist::{Twist, twisted},
};
use crate::{Reference, ReferenceStore, Setup};

pub(super) static MUTANTS: &[Mutant] = &[
    Mutant {
        id: "declares_to_spill",
        fault: "It declares that it spills, and asks nobody.",
        killed_by: &["victims_are_handed_on_whole_and_once", "dropped_puts_keep_their_victims"],
        fresh: source,
        open: |reference, setup| twisted(AsksNobody(reference.store(setup)?)),
    },
    Mutant {
        id: "spills_undeclared",
        fault: "It hands on what it evicts and does not declare it.",
        killed_by: &["spills_only_where_declared"],
        fresh: source,
        open: |reference, setup| twisted(Undeclared(reference.store(setup)?)),
    },
    Mutant {
        id: "hands_on_one_blob",
        fault: "Of a victim it hands on the first blob.",
        killed_by: &["victims_are_handed_on_whole_and_once"],
        fresh: source,
        open: |reference, setup| around_sink(reference, setup, Deed::OneBlob),
    },
    Mutant {
        id: "hands_on_twice",
        fault: "It hands on each victim twice.",
        killed_by: &["victims_are_handed_on_whole_and_once", "concurrent_puts_hand_on_each_victim_once"],
        fresh: source,
        open: |reference, setup| around_sink(reference, setup, Deed::Twice),
    },
    Mutant {
        id: "evicts_before_it_is_taken",
        fault: "A victim is gone before the sink has it.",
        killed_by: &["victims_stay_readable_until_taken", "dropped_puts_keep_their_victims"],
        fresh: source,
        open: |reference, setup| around_sink(reference, setup, Deed::EvictsBefore),
    },
    Mutant {
        id: "trusts_late_answers",
        fault: "It removes what was taken, whatever has replaced it meanwhile.",
        killed_by: &["what_replaces_a_victim_stays"],
        fresh: source,
        open: |reference, setup| around_sink(reference, setup, Deed::EvictsAfter),
    },
    Mutant {
        id: "evicts_who_is_busy",
        fault: "It evicts a victim also if the sink has no hands for it.",
        killed_by: &["busy_victims_stay"],
        fresh: source,
        open: |reference, setup| {
            around_sink(reference, setup, Deed::Answers(Handover::Busy, Handover::Taken))
        },
    },
    Mutant {
        id: "counts_what_was_known",
        fault: "It counts as a spill what was below before.",
        killed_by: &["handovers_are_counted"],
        fresh: source,
        open: |reference, setup| {
            around_sink(reference, setup, Deed::Answers(Handover::Known, Handover::Taken))
        },
    },
    Mutant {
        id: "keeps_what_was_lost",
        fault: "A victim that could not be taken stays.",
        killed_by: &["handovers_are_counted"],
        fresh: source,
        open: |reference, setup| around_sink(reference, setup, Deed::Answers(Handover::Lost, Handover::Busy)),
    },
    Mutant {
        id: "hands_on_what_fits",
        fault: "It begins to hand on before its budget is used.",
        killed_by: &["nothing_is_handed_on_under_the_budget"],
        fresh: source,
        open: |reference, setup| {
            let mut smaller = setup.clone();
            smaller.max_bytes = setup.max_bytes.map(|max| max / 2);
            twisted(HandsOnWhatFits(reference.store(&smaller)?, setup.max_bytes))
        },
    },
    Mutant {
        id: "hands_on_what_callers_remove",
        fault: "It hands on what `evict` removes and what a put replaces.",
        killed_by: &["only_evictions_for_room_are_handed_on", "nothing_is_handed_on_under_the_budget"],
        fresh: source,
        open: |reference, setup| {
            twisted(HandsOnRemovals { store: reference.store(setup)?, sink: Mutex::default() })
        },
    },
    Mutant {
        id: "reads_wait_for_the_sink",
        fault: "While the sink takes its time, reads wait.",
        killed_by: &["slow_sinks_hold_up_puts_only", "victims_stay_readable_until_taken"],
        fresh: source,
        open: |reference, setup| {
            twisted(ReadsWait { store: reference.store(setup)?, taking: Arc::default() })
        },
    },
    Mutant {
        id: "keeps_its_sink",
        fault: "A sink cannot be taken away.",
        killed_by: &["without_a_sink_nothing_is_handed_on"],
        fresh: source,
        open: |reference, setup| twisted(KeepsItsSink(reference.store(setup)?)),
    },
    Mutant {
        id: "peeks_by_reading",
        fault: "A peek is a read, which makes the entry recent.",
        killed_by: &["peeking_is_no_read"],
        fresh: source,
        open: |reference, setup| twisted(PeeksByReading(reference.store(setup)?)),
    },
];

fn source() -> Reference {
    let mut powers: Powers = Reference::volatile().powers();
    powers.spills = true;
    Reference::with_powers(powers)
}

type Sink = Arc<dyn EvictionSink>;

#[derive(Debug)]
struct AsksNobody(ReferenceStore);

impl Twist for AsksNobody {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn set_sink(&self, _sink: Option<Sink>) -> Option<Sink> {
        None
    }
}

#[derive(Debug)]
struct Undeclared(ReferenceStore);

impl Twist for Undeclared {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        let mut info = self.0.info();
        info.powers.spills = false;
        info
    }
}

#[derive(Clone, Copy, Debug)]
enum Deed {
    OneBlob,
    Twice,
    EvictsBefore,
    EvictsAfter,
    /// One answer is taken for another.
    Answers(Handover, Handover),
}

fn around_sink(reference: &Reference, setup: &Setup, deed: Deed) -> Result<Arc<dyn SpillSource>> {
    twisted(AroundSink(reference.store(setup)?, deed))
}

/// Does something wrong between the store and its sink.
#[derive(Debug)]
struct AroundSink(ReferenceStore, Deed);

impl Twist for AroundSink {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn set_sink(&self, sink: Option<Sink>) -> Option<Sink> {
        let sink = sink.map(|sink| -> Sink { Arc::new(Wrong { store: self.0.clone(), sink, deed: self.1 }) });
        self.0.set_sink(sink)
    }
}

#[derive(Debug)]
struct Wrong {
    store: ReferenceStore,
    sink: Sink,
    deed: Deed,
}

impl Wrong {
    async fn evict(&self, keys: &[Key]) {
        for key in keys {
            _ = self.store.evict(key).await;
        }
    }
}

#[async_trait]
impl EvictionSink for Wrong {
    async fn take(&self, mut victims: Vec<EntryRead>) -> Vec<Handover> {
        let keys: Vec<_> = victims.iter().map(|victim| victim.meta.key.clone()).collect();
        match self.deed {
            Deed::OneBlob => victims.iter_mut().for_each(|victim| victim.blobs.truncate(1)),
            Deed::Twice => {
                let again = keys.iter().filter_map(|key| self.store.peek(key)).collect();
                self.sink.take(again).await;
            }
            Deed::EvictsBefore => self.evict(&keys).await,
            Deed::EvictsAfter | Deed::Answers(..) => {}
        }
        let mut answers = self.sink.take(victims).await;
        match self.deed {
            Deed::EvictsAfter => self.evict(&keys).await,
            Deed::Answers(from, to) => {
                answers.iter_mut().filter(|answer| **answer == from).for_each(|answer| *answer = to);
            }
            _ => {}
        }
        answers
    }
}

#[derive(Debug)]
struct HandsOnWhatFits(ReferenceStore, Option<u64>);

impl Twist for HandsOnWhatFits {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn info(&self) -> StoreInfo {
        self.0.info().with_max_bytes(self.1)
    }
}

#[derive(Debug)]
struct HandsOnRemovals {
    store: ReferenceStore,
    sink: Mutex<Option<Sink>>,
}

impl HandsOnRemovals {
    async fn hand_on(&self, key: &Key) {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(sink), Some(entry)) = (sink, self.store.peek(key)) {
            sink.take(vec![entry]).await;
        }
    }
}

#[async_trait]
impl Twist for HandsOnRemovals {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn evict(&self, key: &Key) -> Result<()> {
        self.hand_on(key).await;
        self.store.evict(key).await
    }

    async fn put(&self, key: &Key, entry: PutEntry, options: PutOptions) -> Result<PutOutcome> {
        self.hand_on(key).await;
        self.store.put(key, entry, options).await
    }

    fn set_sink(&self, sink: Option<Sink>) -> Option<Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&sink);
        self.store.set_sink(sink)
    }
}

#[derive(Debug)]
struct ReadsWait {
    store: ReferenceStore,
    taking: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl Twist for ReadsWait {
    fn inner(&self) -> &ReferenceStore {
        &self.store
    }

    async fn get(&self, key: &Key, blob: &BlobName, options: GetOptions) -> Result<Option<Blob>> {
        let _taken = self.taking.lock().await;
        self.store.get(key, blob, options).await
    }

    fn set_sink(&self, sink: Option<Sink>) -> Option<Sink> {
        let taking = Arc::clone(&self.taking);
        self.store.set_sink(sink.map(|sink| -> Sink { Arc::new(Locking { sink, taking }) }))
    }
}

#[derive(Debug)]
struct Locking {
    sink: Sink,
    taking: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl EvictionSink for Locking {
    async fn take(&self, victims: Vec<EntryRead>) -> Vec<Handover> {
        let _taking = self.taking.lock().await;
        self.sink.take(victims).await
    }
}

#[derive(Debug)]
struct KeepsItsSink(ReferenceStore);

impl Twist for KeepsItsSink {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn set_sink(&self, sink: Option<Sink>) -> Option<Sink> {
        let Some(sink) = sink else {
            let old = self.0.set_sink(None);
            self.0.set_sink(old.clone());
            return old;
        };
        self.0.set_sink(Some(sink))
    }
}

#[derive(Debug)]
struct PeeksByReading(ReferenceStore);

impl Twist for PeeksByReading {
    fn inner(&self) -> &ReferenceStore {
        &self.0
    }

    fn peek(&self, key: &Key) -> Option<EntryRead> {
        let found = self.0.peek(key)?;
        for (name, _) in &found.blobs {
            self.0.get_now(key.view(), name)?;
        }
        self.0.peek(key)
    }
}
