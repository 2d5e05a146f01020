//! An entry that streams is read once: for its caller, and for the faster tiers at the same time.

use std::{sync::Arc, time::Duration};

use cache_core::{Blob, BlobName, ByteStream, EntryRead};
use futures::{
    StreamExt,
    channel::oneshot,
    future::{Either, join_all, select},
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Flight, Registration, Want, caller::Caller};
use crate::{
    Promotion,
    key_lock::{PromotionGuard, Ticket},
    layered::{LayeredStore, within},
    promote::{Room, Targets, fill},
    tee::{self, AHEAD, Piece},
    tier::Tier,
    write::whole,
};

/// How long a tier may keep the pieces of an entry waiting, all together. Then it gets no more of them.
const STALL: Duration = Duration::from_secs(1);

/// How long a flush waits for the next piece of a source. One that takes longer may hang: it goes on, and no flush
/// waits for it.
const SILENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nobody waits for it any longer. How it ends counts all the same.
    Late,
    Copied,
    Failed,
    /// The tier is left as it is: what it has, or others above it, may be newer.
    Left,
}

/// The copies of an entry into faster tiers, as its readers see them.
#[derive(Clone, Debug)]
pub(crate) struct Copying {
    tiers: Arc<[Tier]>,
    states: watch::Receiver<Vec<State>>,
}

impl Copying {
    /// Waits until a tier has the entry, or none is going to: those that have it.
    pub(crate) async fn ended(&mut self) -> Vec<Tier> {
        let ended = |states: &Vec<State>| states.contains(&State::Copied) || !states.contains(&State::Open);
        // Ends in an error if the work is gone, and then is as good as ended.
        _ = self.states.wait_for(ended).await;
        let states = self.states.borrow();
        let copied = self.tiers.iter().zip(&*states).filter(|(_, state)| **state == State::Copied);
        copied.map(|(tier, _)| tier.clone()).collect()
    }

    /// Waits for the tiers that are to have the entry before the read has ended.
    pub(crate) async fn inline_ended(&mut self) {
        let tiers = Arc::clone(&self.tiers);
        let ended = move |states: &Vec<State>| {
            let mut inline = tiers.iter().zip(states).filter(|(tier, _)| is_inline(tier));
            inline.all(|(_, state)| *state != State::Open)
        };
        _ = self.states.wait_for(ended).await;
    }
}

fn is_inline(tier: &Tier) -> bool {
    tier.options.promotion == Promotion::Inline
}

/// The same, as those see them who make them.
struct Copies {
    store: LayeredStore,
    tiers: Arc<[Tier]>,
    states: watch::Sender<Vec<State>>,
}

impl Copies {
    /// Counts how a copy ended, once.
    fn end(&self, at: usize, state: State) {
        let mut is_first = false;
        self.states.send_if_modified(|states| {
            let is_open = |state: &&mut State| matches!(**state, State::Open | State::Late);
            if let Some(open) = states.get_mut(at).filter(is_open) {
                *open = state;
                is_first = true;
            }
            is_first
        });
        if let Some(tier) = self.tiers.get(at).filter(|_| is_first && state != State::Left) {
            self.store.promoted(tier, state == State::Copied);
        }
    }

    /// Lets those go who wait for copies that have not ended.
    fn release(&self) {
        self.exchange(State::Open, State::Late);
    }

    /// Has copies waited for again that had been [released](Self::release).
    fn resume(&self) {
        self.exchange(State::Late, State::Open);
    }

    fn exchange(&self, from: State, to: State) {
        self.states.send_modify(|states| {
            for state in states.iter_mut().filter(|state| **state == from) {
                *state = to;
            }
        });
    }

    async fn all_ended(&self) {
        _ = self.states.subscribe().wait_for(|states| !states.contains(&State::Open)).await;
    }
}

/// One blob on its way.
struct Line {
    source: ByteStream,
    /// By the numbers of the tiers; none for one that gets no more.
    tiers: Vec<Option<mpsc::Sender<Piece>>>,
    caller: Option<Branch>,
}

/// The caller's part of a blob. Without it, the caller goes on alone.
pub(super) struct Branch {
    pieces: mpsc::Sender<Piece>,
    /// For what is left of the source when no tier wants it.
    rest: oneshot::Sender<ByteStream>,
}

impl Line {
    /// Leaves the source to the caller.
    fn hand_over(self) {
        if let Some(caller) = self.caller {
            // A caller who has gone wants none of it.
            _ = caller.rest.send(self.source);
        }
    }

    /// Gives the caller a piece. One who lags behind goes on alone, and holds up nobody.
    fn give(&mut self, piece: &Piece) {
        self.caller = self.caller.take().filter(|caller| caller.pieces.try_send(piece.clone()).is_ok());
    }

    /// Sends a piece to the tiers, and takes how long each keeps it waiting from the time that it has left; those
    /// who have none left are told by their numbers.
    async fn send(&mut self, piece: &Piece, left: &mut [Duration]) -> Vec<usize> {
        let sends = self.tiers.iter().zip(left).enumerate().map(|(at, (sender, left))| async move {
            let sender = sender.as_ref()?;
            let begun = Instant::now();
            let sent = within(Some(*left), sender.send(piece.clone())).await;
            *left = left.saturating_sub(begun.elapsed());
            // A tier that refused the put has dropped its end.
            sent.is_none().then_some(at)
        });
        join_all(sends).await.into_iter().flatten().collect()
    }

    /// Waits until no tier takes any more.
    async fn unwanted(tiers: &[Option<mpsc::Sender<Piece>>]) {
        join_all(tiers.iter().flatten().map(mpsc::Sender::closed)).await;
    }
}

/// Reads the sources, one after the other.
async fn pump(lines: Vec<Line>, copies: &Copies, ticket: &Ticket, room: &Room) {
    let mut called = std::pin::pin!(ticket.called());
    let mut lost = Vec::new();
    let mut left = vec![STALL; copies.tiers.len()];
    let mut goes_on = true;
    for mut line in lines {
        for at in &lost {
            drop(line.tiers.get_mut(*at).and_then(Option::take));
        }
        while goes_on {
            let piece = {
                let unwanted = std::pin::pin!(Line::unwanted(&line.tiers));
                let stop = select(unwanted, &mut called);
                // The source comes second: where no tier is left, its pieces are the caller's.
                let mut next = select(stop, line.source.next());
                let next = match within(Some(SILENCE), &mut next).await {
                    Some(next) => next,
                    None => {
                        room.unawaited();
                        // Nor is any reader to: who comes now reads for itself.
                        copies.release();
                        let next = next.await;
                        copies.resume();
                        next
                    }
                };
                match next {
                    Either::Right((Some(Ok(bytes)), _)) => Piece::Bytes(bytes),
                    Either::Right((Some(Err(error)), _)) => Piece::Failed(error),
                    Either::Right((None, _)) => Piece::End,
                    Either::Left(_) => {
                        goes_on = false;
                        break;
                    }
                }
            };
            line.give(&piece);
            let sent = match select(std::pin::pin!(line.send(&piece, &mut left)), &mut called).await {
                Either::Left((stalled, _)) => Some(stalled),
                Either::Right(_) => None,
            };
            match sent {
                Some(stalled) => {
                    for at in stalled {
                        drop(line.tiers.get_mut(at).and_then(Option::take));
                        copies.end(at, State::Failed);
                        lost.push(at);
                    }
                }
                None => goes_on = false,
            }
            match piece {
                Piece::Bytes(_) => {}
                Piece::End => break,
                // What is behind it is for nobody.
                Piece::Failed(_) => return,
            }
        }
        if !goes_on {
            line.hand_over();
        }
    }
}

/// Begins to copy an entry. What its first reader reads, and how far the copies are; the entry alone if it is not
/// to be copied now.
pub(crate) fn begin(
    store: &LayeredStore,
    from: &Tier,
    Targets { tiers: targets, is_others }: Targets,
    entry: EntryRead,
    want: &Want,
    ticket: Ticket,
    registration: Option<Registration>,
) -> (EntryRead, Option<Copying>) {
    if targets.is_empty() || tokio::runtime::Handle::try_current().is_err() {
        return (entry, None);
    }
    // Without room its reader has it as it is.
    let Some(room) = store.underway().stream_now() else {
        targets.iter().for_each(|tier| store.promoted(tier, false));
        return (entry, None);
    };
    let Some(turn) = ticket.claim() else { return (entry, None) };
    let tiers: Arc<[Tier]> = targets.into();
    let (sender, receiver) = watch::channel(vec![State::Open; tiers.len()]);
    let copying = Copying { tiers: Arc::clone(&tiers), states: receiver };
    let copies = Copies { store: store.clone(), tiers, states: sender };
    let ticket = Arc::new(ticket);
    let (read, branches) = branch(&entry, from, want, &copying, &ticket);
    // Whoever comes while it goes on waits for the copy. From here on, as its reader may be gone soon.
    let joinable = registration.map(|registration| (registration.hold(), registration));
    let work = Work { copies, is_others, ticket, turn, room, joinable };
    // It is a task of the stack, and nobody's in particular.
    drop(store.to_its_end("promote", async move {
        work.run(entry, branches).await;
        Ok(())
    }));
    (read, Some(copying))
}

/// What the caller reads, and where the pump sends it, for each blob that streams.
fn branch(
    entry: &EntryRead,
    from: &Tier,
    want: &Want,
    copying: &Copying,
    ticket: &Arc<Ticket>,
) -> (EntryRead, Vec<Option<Branch>>) {
    let is_wanted = |name: &BlobName| want.blob.as_ref().is_none_or(|wanted| wanted == name);
    let last = entry.blobs.iter().rev().find(|(_, blob)| blob.bytes().is_none()).map(|(name, _)| name);
    let (mut blobs, mut branches) = (Vec::new(), Vec::new());
    for (name, blob) in &entry.blobs {
        if let Some(bytes) = blob.bytes() {
            blobs.push((name.clone(), Blob::from_bytes(bytes.clone())));
            continue;
        }
        if !is_wanted(name) {
            branches.push(None);
            continue;
        }
        let (pieces, receiver) = mpsc::channel(AHEAD);
        let (rest, left) = oneshot::channel();
        branches.push(Some(Branch { pieces, rest }));
        let caller = Caller {
            meta: entry.meta.clone(),
            name: name.clone(),
            len: blob.len(),
            checksum: blob.checksum(),
            from: from.clone(),
            ticket: Arc::clone(ticket),
            copying: copying.clone(),
            is_last: Some(name) == last,
        };
        blobs.push((name.clone(), caller.blob(receiver, left)));
    }
    (EntryRead::new(entry.meta.clone(), blobs), branches)
}

struct Work {
    copies: Copies,
    is_others: bool,
    ticket: Arc<Ticket>,
    turn: PromotionGuard,
    room: Room,
    joinable: Option<(Option<Flight>, Registration)>,
}

impl Work {
    async fn run(self, entry: EntryRead, branches: Vec<Option<Branch>>) {
        let Self { copies, is_others, ticket, turn, room, joinable } = self;
        let (key, modified) = (entry.meta.key.clone(), entry.meta.modified);
        let (puts, pumped) = tee::split(whole(entry), copies.tiers.len());
        let lines = pumped.into_sources().into_iter().zip(branches);
        let lines: Vec<Line> = lines
            .map(|((source, tiers), caller)| Line {
                source,
                tiers: tiers.into_iter().map(Some).collect(),
                caller,
            })
            .collect();
        let puts = copies.tiers.iter().zip(puts).enumerate().map(|(at, (tier, put))| {
            let (copies, key) = (&copies, &key);
            async move {
                let filled = fill(tier, key, put.freely(), modified).await;
                let state =
                    filled.map_or(State::Left, |copied| if copied { State::Copied } else { State::Failed });
                copies.end(at, state);
            }
        });
        let puts = async {
            if is_others && copies.store.may_be_kept(&key).await {
                drop(puts);
                (0..copies.tiers.len()).for_each(|at| copies.end(at, State::Left));
            } else {
                join_all(puts).await;
            }
            drop(turn);
        };
        let pumped = async {
            pump(lines, &copies, &ticket, &room).await;
            _ = within(Some(STALL), copies.all_ended()).await;
            copies.release();
            if let Some((_flight, mut registration)) = joinable
                && copies.states.borrow().contains(&State::Copied)
            {
                registration.copied();
            }
        };
        futures::join!(puts, pumped);
    }
}
