//! The file made small again: what is in it is copied, in order, into a new one that takes its place.
//!
//! Pages that were split by rows in any order are half full, and the database never joins them again as long as rows
//! come and go. It can move pages to the front of the file, but they stay half full: of 1 KiB blobs in random order
//! the file takes 2.6 times their bytes, 1.9 times when its pages were moved, and 1.5 times when it was written anew,
//! which takes a third of the time of moving.

mod estimate;
mod rebuild;

use redb::{Database, ReadableDatabase};

use crate::{
    contain::{Fault, contain_fault},
    medium::Medium,
};

/// Less is not worth the while.
const LEAST_GAIN: u64 = 1 << 20;

/// Writes the database anew, if that makes its file a fifth smaller; what is not durable yet takes up nothing. Answers
/// the database to go on with from now on, which is durable as it is; the old one is for those who still read from it.
///
/// All is read and written once, by a copy of about 8 s for each GiB: nobody may write meanwhile. The file system has
/// to have room for both. What fails leaves the old database as it is, and nothing behind. Only faults of the old
/// database are damage or failures; those of the new one are refusals.
pub(crate) fn compact(medium: &dyn Medium, database: &Database) -> Result<Option<Database>, Fault> {
    let needed = contain_fault(|| estimate::estimate(&database.begin_read()?))?;
    if !is_worthwhile(medium.len().map_err(refused)?, needed) {
        return Ok(None);
    }
    rewrite(medium, database, needed)
}

fn rewrite(medium: &dyn Medium, database: &Database, needed: u64) -> Result<Option<Database>, Fault> {
    let Some(new) = medium.begin_rebuild(needed)? else { return Ok(None) };
    let done = match rebuild::rebuild(database, &new) {
        Ok(()) => medium.finish_rebuild(new).map(Some),
        Err(fault) => {
            _ = contain_fault(|| {
                drop(new);
                Ok(())
            });
            Err(fault)
        }
    };
    if done.is_err() {
        medium.abandon_rebuild();
    }
    done
}

/// Whether a file of so many bytes gets a fifth smaller, if its content needs so many.
fn is_worthwhile(file: u64, needed: u64) -> bool {
    let gain = file.saturating_sub(needed);
    gain >= LEAST_GAIN && gain >= file / 5
}

fn refused(error: std::io::Error) -> Fault {
    Fault::Refused(Fault::io(error).error().clone())
}

#[cfg(test)]
mod tests;
