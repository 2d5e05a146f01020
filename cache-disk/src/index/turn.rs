//! Who evicts: one process at a time.

use std::{
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use cache_core::{Error, ErrorKind, Result};

use super::{Index, Totals, below, open_or_clear};
use crate::{root::Root, tree::try_lock};

const EVICTING: &str = "evicting";

/// How long another process may show no sign of life before nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// What to do while another process evicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Leave it to it.
    No,
    /// Wait until it has brought the store within this many bytes.
    Until(u64),
}

/// The right to evict, until it is dropped.
pub(crate) struct Turn {
    _lock: OwnedFd,
    /// Whether nobody else has evicted since this store did.
    pub(crate) again: bool,
}

impl Index {
    /// Takes the turn; `None` if another process has it and the caller need not wait, or not any more.
    pub(crate) fn take_turn(&self, root: &Root, wait: Wait, operation: &'static str) -> Result<Option<Turn>> {
        let failed = |error: rustix::io::Errno| root.failed(operation, &below(EVICTING), error.into());
        let mut sign = None;
        loop {
            let files = self.files();
            let totals = self.totals(root, operation)?;
            let lock = open_or_clear(&files.dir, EVICTING).map_err(failed)?;
            if try_lock(&lock).map_err(failed)? {
                let again = totals.evictor == self.me;
                if !again {
                    let write = files.sizes.evicts(self.me);
                    write.map_err(|error| root.failed(operation, &below(EVICTING), error))?;
                }
                return Ok(Some(Turn { _lock: lock, again }));
            }
            match wait {
                Wait::Until(bytes) if totals.suspect || totals.bytes > bytes => {}
                _ => {
                    // So that not every put asks again.
                    thread::sleep(PAUSE);
                    return Ok(None);
                }
            }
            if !is_alive(&mut sign, totals) {
                let detail = "another process evicts, and makes no progress";
                return Err(Error::new(ErrorKind::Locked, "disk", operation).with_detail(detail));
            }
            thread::sleep(PAUSE);
        }
    }

    /// A sign of life for those who wait.
    pub(crate) fn beat(&self, beat: u64) {
        _ = self.files().sizes.beat(beat);
    }

    /// What made the index suspect has been seen to, unless something else did meanwhile.
    pub(crate) fn healed(&self, asked: u64) -> std::io::Result<()> {
        self.files().sizes.healed(asked)
    }
}

fn is_alive(sign: &mut Option<(u64, u64, Instant)>, totals: Totals) -> bool {
    match sign {
        Some((beat, bytes, since)) if (*beat, *bytes) == (totals.beat, totals.bytes) => {
            since.elapsed() < PATIENCE
        }
        _ => {
            *sign = Some((totals.beat, totals.bytes, Instant::now()));
            true
        }
    }
}
