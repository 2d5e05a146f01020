//! A database that is opened: whose it is, what it holds, and what becomes of a damaged one.

use std::collections::{BTreeMap, VecDeque};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use crate::{
    batch::{count, namespace_of},
    chunks::{CHUNKS, LOOSE, ids_of},
    contain::{Contained, Fault, contain_fault},
    format::{self, Format, examine},
    medium::Medium,
    rows::{BLOBS, ENTRIES, EntryRow, RECENCY, TOTALS, Totals, names_of},
    snapshot::Snapshot,
    stub::Stub,
};

/// Stamps are counted up from 1: nobody gets so far.
const LAST_STAMP: u64 = u64::MAX / 2;

/// An open database, and what is known of it from the start.
pub(crate) struct Opened {
    pub(crate) db: Contained<Database>,
    /// What all entries take.
    pub(crate) sum: Totals,
    /// The last stamp of a use.
    pub(crate) stamp: u64,
    /// The largest number of a large blob.
    pub(crate) id: Option<u64>,
    /// Large blobs that belong to no entry.
    pub(crate) loose: VecDeque<u64>,
}

/// Opens the database for writing. One that is damaged is set aside, and a new one is made. Answers whether that was so.
pub(crate) fn open(medium: &dyn Medium) -> Result<(Opened, bool), Fault> {
    match open_as_it_is(medium) {
        Err(Fault::Damaged(error)) => {
            set_aside(medium, &error)?;
            Ok((open_as_it_is(medium)?, true))
        }
        opened => Ok((opened?, false)),
    }
}

/// Moves a damaged database, which nobody has open, out of the way.
pub(crate) fn set_aside(medium: &dyn Medium, error: &cache_core::Error) -> Result<(), Fault> {
    let database = medium.location();
    let kept = medium.set_aside().map_err(|failed| {
        let error = error.to_line();
        tracing::error!(database, error, failed = %failed, "the database is damaged and cannot be set aside");
        let told = format!("{database} is damaged and cannot be set aside: {error}");
        Fault::io(failed).map(|failed| failed.with_detail(told))
    })?;
    tracing::error!(
        database,
        set_aside = kept,
        error = error.to_line(),
        "the database is damaged; it was set aside and an empty one takes its place"
    );
    Ok(())
}

fn open_as_it_is(medium: &dyn Medium) -> Result<Opened, Fault> {
    let db = Contained::new(contain_fault(|| medium.open())?);
    contain_fault(|| {
        if examine(&*db, medium.location())? == Format::Empty {
            make(&db)?;
        }
        mend(&db)?;
        look_around(db)
    })
}

/// Puts right what does not fit together, which takes damage: each entry has its stamp, and counts. Answers whether there
/// was anything.
pub(crate) fn mend(db: &Database) -> Result<bool, Fault> {
    let held = held(db)?;
    let entries = db.begin_read()?.open_table(ENTRIES)?.len()?;
    let stamps = db.begin_read()?.open_table(RECENCY)?.len()?;
    let is_true = last_stamp(&db.begin_read()?)? <= LAST_STAMP;
    if entries == held.entries && entries == stamps && is_true {
        return Ok(false);
    }
    tracing::warn!(
        entries,
        counted = held.entries,
        stamps,
        "the database is damaged; its entries are counted anew"
    );
    let mut tx = db.begin_write()?;
    tx.set_quick_repair(true);
    {
        let (mut entries, mut recency) = (tx.open_table(ENTRIES)?, tx.open_table(RECENCY)?);
        let mut unreadable = Vec::new();
        entries.retain(|key, row| {
            let is_readable = EntryRow::decode(key, row).is_some();
            if !is_readable {
                unreadable.push(key.to_vec());
            }
            is_readable
        })?;
        let (mut blobs, mut loose) = (tx.open_table(BLOBS)?, tx.open_table(LOOSE)?);
        for key in unreadable {
            let (names, mut ids) = (names_of(&key), Vec::new());
            blobs.retain_in(names.start.as_slice()..names.end.as_slice(), |_, value| {
                ids.extend(Stub::decode(value).map(|stub| stub.id));
                false
            })?;
            for id in ids {
                loose.insert(id, ())?;
            }
        }
        let mut totals = BTreeMap::<Vec<u8>, Totals>::new();
        recency.retain(|_, _| false)?;
        for row in entries.iter()? {
            let (key, row) = row?;
            let Some(row) = EntryRow::decode(key.value(), row.value()) else { continue };
            totals.entry(namespace_of(key.value()).to_vec()).or_default().add(row.totals());
            recency.insert(row.last.stamp, key.value())?;
        }
        let mut table = tx.open_table(TOTALS)?;
        table.retain(|_, _| false)?;
        for (namespace, totals) in totals {
            table.insert(namespace.as_slice(), totals.encode(&namespace).as_slice())?;
        }
    }
    tx.commit()?;
    Ok(true)
}

fn make(db: &Database) -> Result<(), Fault> {
    let mut tx = db.begin_write()?;
    tx.set_quick_repair(true);
    format::make(&tx)?;
    for table in [ENTRIES, BLOBS, TOTALS] {
        tx.open_table(table)?;
    }
    tx.open_table(CHUNKS)?;
    tx.open_table(LOOSE)?;
    tx.open_table(RECENCY)?;
    tx.commit()?;
    Ok(())
}

/// What all entries take.
pub(crate) fn held(db: &impl ReadableDatabase) -> Result<Totals, Fault> {
    let tx = db.begin_read()?;
    let mut sum = Totals::default();
    let entries = tx.open_table(ENTRIES)?;
    for row in tx.open_table(TOTALS)?.iter()? {
        let (namespace, row) = row?;
        // What is damaged is counted; the row itself is put right with the next write to the namespace.
        sum.add(match Totals::decode(namespace.value(), row.value()) {
            Some(totals) => totals,
            None => count(&entries, namespace.value())?,
        });
    }
    Ok(sum)
}

fn last_stamp(tx: &ReadTransaction) -> Result<u64, Fault> {
    Ok(tx.open_table(RECENCY)?.last()?.map_or(0, |(stamp, _)| stamp.value()))
}

fn look_around(db: Contained<Database>) -> Result<Opened, Fault> {
    // What every read will look at.
    drop(Snapshot::of(&*db, 0)?);
    let sum = held(&*db)?;
    let tx = db.begin_read()?;
    let stamp = last_stamp(&tx)?;
    if stamp > LAST_STAMP {
        return Err(Fault::damaged(format!("the stamp {stamp} was never given out")));
    }
    let (id, loose) = ids_of(&tx)?;
    drop(tx);
    Ok(Opened { db, sum, stamp, id, loose })
}
