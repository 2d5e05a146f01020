use std::fmt;

use super::entry::Copied;
use crate::{ByteSize, Error, Key};

/// What a [copy](crate::StoreExt::copy_to) did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CopyReport {
    /// Entries that were looked at.
    pub entries: u64,
    /// Entries that were copied.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that the target had already, in the same version.
    pub skipped: u64,
    /// Entries that the target has, and keeps, in another version.
    pub kept: u64,
    /// Entries that are damaged at the source. They were not copied.
    pub damaged: u64,
    /// Entries that the target does not take: they are over its limits, or it is disabled. What it had under the key
    /// may be gone.
    pub refused: u64,
    /// Entries that could not be read, not be written, or were not what was read at the source when they were read
    /// back. What was not is evicted from the target.
    pub failed: u64,
    /// Entries that the target evicted meanwhile, most often to keep its budget: those of this copy may be among them.
    pub evicted: u64,
    /// The first of those that were damaged, refused or failed, by their keys at the source, in order.
    pub missing: Vec<Key>,
    /// The first failure: to read an entry, to write one, or to list more of them.
    pub first_error: Option<Error>,
    /// Up to this key of the source, and with it, nothing failed: another copy that
    /// [starts after it](super::CopyOptions::start_after) does the rest. `None` if not even the first entry is done.
    pub resume_after: Option<Key>,
    /// Whether all that was copied survives a crash, what an earlier copy wrote included: the target was flushed, and
    /// is durable.
    pub durable: bool,
    /// Why the target could not be flushed.
    pub flush_error: Option<Error>,
}

impl CopyReport {
    /// Whether all that the source holds is in the target, as far as it does not keep another version, or evict what
    /// is over its budget.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.damaged == 0 && self.refused == 0 && self.first_error.is_none() && self.flush_error.is_none()
    }

    /// Counts what became of an entry.
    pub(super) fn count(&mut self, key: Key, copied: Copied, max_keys: usize) {
        self.entries += u64::from(!matches!(copied, Copied::Gone));
        let is_missing = matches!(copied, Copied::Damaged | Copied::Refused | Copied::Failed(_));
        if is_missing && self.missing.len() < max_keys {
            self.missing.push(key.clone());
        }
        match copied {
            Copied::Done(bytes) => {
                self.copied += 1;
                self.bytes = self.bytes.saturating_add(bytes);
            }
            Copied::Skipped => self.skipped += 1,
            Copied::Kept => self.kept += 1,
            Copied::Gone => {}
            Copied::Damaged => self.damaged += 1,
            Copied::Refused => self.refused += 1,
            Copied::Failed(error) => {
                self.failed += 1;
                self.end(error);
            }
        }
        // What is damaged or refused will be so the next time.
        if self.failed == 0 {
            self.resume_after = Some(key);
        }
    }

    /// Keeps the first failure.
    pub(super) fn end(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = if self.entries == 1 { "entry" } else { "entries" };
        let (copied, bytes) = (self.copied, ByteSize::new(self.bytes));
        write!(f, "{} {entries}: {copied} copied, {bytes}, {} skipped", self.entries, self.skipped)?;
        for (count, what) in [
            (self.kept, "kept in another version"),
            (self.damaged, "damaged"),
            (self.refused, "refused"),
            (self.failed, "failed"),
            (self.evicted, "evicted by the target"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        f.write_str(if self.durable { "; durable" } else { "; not durable" })?;
        for error in self.first_error.iter().chain(&self.flush_error) {
            write!(f, "; {}", error.to_line())?;
        }
        Ok(())
    }
}
