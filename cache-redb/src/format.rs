//! Whose database it is, and of which version.

use cache_core::{Error, ErrorKind};
use redb::{ReadTransaction, ReadableDatabase, TableDefinition, TableError, TableHandle, WriteTransaction};

use crate::contain::Fault;

/// What the tables are: a number by name.
pub(crate) const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("format");
pub(crate) const VERSION_ROW: &str = "version";
/// What this code writes, and all that it reads.
pub(crate) const VERSION: u64 = 1;
/// No version will be this high: a number above is damage.
const MOST: u64 = 1000;
/// The other tables. A database that has that many of them is ours, even if it does not say so.
const OURS: [&str; 6] = ["entries", "blobs", "chunks", "loose", "recency", "totals"];
const TELLING: usize = 3;

/// Whose tables these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// There are none.
    Empty,
    /// Those of this store.
    Ours,
}

/// Looks whether a database is a store's, and whether this code can read it. Panics are for the caller to contain.
///
/// A database of somebody else's is refused as `Corrupt`, and one of a version to come as `Unsupported`: both are to be
/// left as they are.
pub(crate) fn examine(database: &impl ReadableDatabase, location: &str) -> Result<Format, Fault> {
    let transaction = database.begin_read()?;
    let version = match transaction.open_table(FORMAT) {
        Ok(table) => table.get(VERSION_ROW)?.map(|row| row.value()),
        Err(TableError::Storage(error)) => return Err(error.into()),
        // There is none, or it has another type.
        Err(_) => None,
    };
    if let Some(version @ 2..=MOST) = version {
        let detail = format!("{location} is a store of version {version}: it is left as it is");
        return Err(Fault::refused(ErrorKind::Unsupported, detail));
    }
    // Others may count versions by the same name.
    match (by_tables(&transaction, location)?, version) {
        (Format::Ours, Some(VERSION)) => Ok(Format::Ours),
        (Format::Ours, Some(version)) => {
            Err(Fault::damaged(format!("{location}: there is no version {version}")))
        }
        (Format::Ours, None) => Err(Fault::damaged(format!("{location}: the version is lost"))),
        (Format::Empty, _) => Ok(Format::Empty),
    }
}

/// Whose tables there are, by their names.
fn by_tables(transaction: &ReadTransaction, location: &str) -> Result<Format, Fault> {
    let mut any = transaction.list_multimap_tables()?.next().is_some();
    let mut ours = 0;
    for table in transaction.list_tables()? {
        any = true;
        ours += usize::from(OURS.contains(&table.name()));
    }
    match (any, ours >= TELLING) {
        (false, _) => Ok(Format::Empty),
        (true, true) => Ok(Format::Ours),
        (true, false) => Err(foreign(location)),
    }
}

fn foreign(location: &str) -> Fault {
    Fault::Refused(Error::corrupt(format!("{location} is somebody else's database: it is left as it is")))
}

/// Writes into an empty database whose it is.
pub(crate) fn make(transaction: &WriteTransaction) -> Result<(), Fault> {
    transaction.open_table(FORMAT)?.insert(VERSION_ROW, VERSION)?;
    Ok(())
}

#[cfg(test)]
mod tests;
