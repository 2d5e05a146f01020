//! Operations that are done together in one transaction.

use std::time::{Duration, Instant};

use cache_core::{PutOutcome, Result};

use super::{Writer, database::How};
use crate::{
    batch::Batch,
    contain::Fault,
    engine::Engine,
    queue::{Op, Queued},
};

/// A batch takes about so long at most: who came first waits for the last.
const BATCH_TIME: Duration = Duration::from_millis(5);
/// After so many bytes a commit is durable in any case, so that space that was freed can be used again.
const UNFLUSHED_BYTES: u64 = 256 << 20;

/// What came of an operation in a batch.
enum Answer {
    Put(Result<(PutOutcome, u64)>),
    Staged(Result<()>),
    Removed(Option<u64>),
    Evicted(Vec<u64>),
    Nothing,
}

impl Writer {
    /// Does operations in one transaction, or in several if they take long.
    pub(super) fn batch(&mut self, engine: &Engine, batch: Vec<Queued>) {
        // What nobody waits for any more is not begun.
        let mut rest: Vec<Queued> = batch.into_iter().filter(|queued| !queued.op.is_abandoned()).collect();
        while !rest.is_empty() {
            match self.begin_batch(engine, &rest) {
                Ok(answers) => {
                    let later = rest.split_off(answers.len());
                    rest.into_iter().zip(answers).for_each(|(queued, answer)| tell(queued.op, answer));
                    rest = later;
                }
                Err(error) => return rest.into_iter().for_each(|queued| queued.op.fail(&error)),
            }
        }
    }

    /// Does the first operations, as many as can be done in time, and answers them; all at least if it is one.
    fn begin_batch(&mut self, engine: &Engine, batch: &[Queued]) -> Result<Vec<Answer>> {
        let noting = batch.iter().any(|queued| matches!(queued.op, Op::Drain { .. }));
        let durable = self.unflushed_bytes > UNFLUSHED_BYTES
            || (engine.options.durable_puts && batch.iter().any(|queued| queued.op.is_a_change()));
        let mut may_try_again = true;
        loop {
            let done = self.transact(engine, How { durable, noting }, |of| {
                let begun = Instant::now();
                let (mut answers, mut loose) = (Vec::with_capacity(batch.len()), Vec::new());
                for queued in batch {
                    answers.push(apply(of, &queued.op, &mut loose)?);
                    if begun.elapsed() > BATCH_TIME {
                        break;
                    }
                }
                Ok((answers, loose))
            });
            match done {
                Ok((answers, loose)) => {
                    self.loose.extend(loose);
                    return Ok(answers);
                }
                Err(fault) => {
                    self.heal(engine, &fault);
                    // A new database takes what the damaged one could not.
                    if !may_try_again || !matches!(fault, Fault::Damaged(_)) {
                        let changes = batch.iter().filter(|queued| queued.op.is_a_change()).count();
                        self.owe(changes, fault.error());
                        return Err(fault.error().clone());
                    }
                    may_try_again = false;
                }
            }
        }
    }
}

/// Does one operation of a batch. Only faults of the database are errors: they undo the whole batch.
fn apply(batch: &mut Batch<'_, '_>, op: &Op, loose: &mut Vec<u64>) -> Result<Answer, redb::Error> {
    Ok(match op {
        Op::Put(put) => Answer::Put(batch.put(put)?),
        Op::Stage { part, .. } => Answer::Staged(batch.stage(part)?),
        Op::Remove { key, only, .. } => Answer::Removed(batch.remove(key, *only)?),
        Op::Evict { victims, .. } => {
            let mut evicted = Vec::new();
            for (key, stamp) in victims {
                evicted.extend(batch.evict(key, *stamp)?);
            }
            Answer::Evicted(evicted)
        }
        Op::Forsake { key, only } => {
            batch.remove(key, *only)?;
            Answer::Nothing
        }
        Op::Discard { id } => {
            loose.push(*id);
            Answer::Nothing
        }
        _ => Answer::Nothing,
    })
}

/// Tells who asked for it.
fn tell(op: Op, answer: Answer) {
    match (op, answer) {
        (Op::Put(put), Answer::Put(answer)) => {
            if answer.as_ref().is_ok_and(|(outcome, _)| outcome.is_stored()) {
                put.keep();
            }
            _ = put.reply.send(answer);
        }
        (Op::Drain { reply: Some(reply) }, _) => _ = reply.send(Ok(())),
        (Op::Stage { reply, .. }, Answer::Staged(answer)) => _ = reply.send(answer),
        (Op::Remove { reply, .. }, Answer::Removed(bytes)) => _ = reply.send(Ok(bytes)),
        (Op::Evict { reply, .. }, Answer::Evicted(bytes)) => _ = reply.send(Ok(bytes)),
        _ => {}
    }
}
