//! Where the database lies.

use std::{fmt::Debug, io};

use redb::{Database, ReadOnlyDatabase};

use crate::contain::Fault;

/// A place for one database. All of it may block.
pub(crate) trait Medium: Debug + Send + Sync + 'static {
    /// Where that is, for errors and events: a path.
    fn location(&self) -> &str;

    /// Opens the database, and makes it if there is none. Its content is not looked at but for what the database
    /// does itself.
    ///
    /// `Fault::Damaged` is a database that cannot be opened. What is no database at all is refused as `Corrupt`
    /// (`Fault::Refused`) and left alone; so is what somebody else has open, as `Locked`.
    fn open(&self) -> Result<Database, Fault>;

    /// Opens the database to look at it.
    fn open_read_only(&self) -> Result<ReadOnlyDatabase, Fault>;

    /// Moves a damaged database, which nobody has open, out of the way, in place of the one before it that was
    /// damaged. Answers where it is now.
    fn set_aside(&self) -> io::Result<String>;

    /// How many bytes the database takes up.
    fn len(&self) -> io::Result<u64>;

    /// Whether reads may well have to wait for the device: then they are better done where that may block.
    fn is_cold(&self) -> bool;

    /// Begins a database, empty, that is to take the place of the one that there is and will be so large. `None` where
    /// that cannot be.
    /// All faults of this and the next are refusals, unless the database that there is is concerned.
    fn begin_rebuild(&self, bytes: u64) -> Result<Option<Database>, Fault>;

    /// Makes the new database durable and puts it in the place of the old one; answers it, opened again. Who has the
    /// old one open may go on with it, and others meet either of the two, locked, at any time.
    fn finish_rebuild(&self, new: Database) -> Result<Database, Fault>;

    /// Removes a new database that did not get into its place, and that nobody has open.
    fn abandon_rebuild(&self);
}

#[cfg(test)]
mod tests;
