//! A new database beside the file, and in its place.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use cache_core::{Error, ErrorKind};
use redb::Database;

use super::FileMedium;
use crate::{
    checked_pages::CheckedPages,
    contain::{Fault, contain, contain_fault},
    page_file::PageFile,
    place::{self, Access, FileId},
};

/// Enough for a database that is written from its beginning to its end.
const CACHE_BYTES: usize = 16 << 20;

fn beside(medium: &FileMedium) -> PathBuf {
    place::beside(&place::target(&medium.path), ".compacting")
}

/// Begins an empty database, if there is room for it: who else uses the file system is not to find it full.
pub(super) fn begin(medium: &FileMedium, bytes: u64) -> Result<Database, Fault> {
    let path = beside(medium);
    remove(&path);
    if place::room_beside(&path).is_some_and(|room| room < bytes) {
        let detail = format!("there is no room to write {} anew", medium.location);
        return Err(Fault::refused(ErrorKind::NoSpace, detail));
    }
    let begun = place::open(&path, Access::New).and_then(|file| {
        // So that it is for whom the old one is for.
        place::give(&file, &replaced(medium)?).map_err(Fault::io)?;
        drop(file);
        // Closing it brings it to its least size, from which it grows by powers of two. So pages are filled from the
        // front, and what is free is cut off when it is closed at last.
        open(medium, &path, CACHE_BYTES).and_then(close)?;
        open(medium, &path, CACHE_BYTES)
    });
    begun.map_err(|fault| {
        remove(&path);
        refusal(&path, &fault)
    })
}

/// Puts it in place. From its opening on it is locked.
pub(super) fn finish(medium: &FileMedium, new: Database) -> Result<Database, Fault> {
    let path = beside(medium);
    let target = place::target(&medium.path);
    let placed = close(new).and_then(|()| {
        let new = open(medium, &path, medium.cache_bytes)?;
        let id = FileId::of(&fs::metadata(&path).map_err(Fault::io)?);
        replaced(medium)?;
        fs::rename(&path, &target).map_err(Fault::io)?;
        medium.is_of(id);
        Ok(new)
    });
    let new = placed.map_err(|fault| refusal(&path, &fault))?;
    // Which of the two a crash leaves is not known then: it is opened again.
    place::sync_directory(&target).map_err(Fault::io)?;
    Ok(new)
}

pub(super) fn abandon(medium: &FileMedium) {
    remove(&beside(medium));
}

/// The file that is to be replaced. Somebody else's may have taken its place.
fn replaced(medium: &FileMedium) -> Result<fs::Metadata, Fault> {
    let metadata = fs::metadata(&medium.path).map_err(Fault::io)?;
    match medium.is_opened(&metadata) {
        true => Ok(metadata),
        false => Err(Fault::refused(ErrorKind::Unavailable, "another file is in its place")),
    }
}

fn open(medium: &FileMedium, path: &Path, cache_bytes: usize) -> Result<Database, Fault> {
    let file = place::open(path, Access::Change)?;
    let mut builder = medium.builder();
    builder.set_cache_size(cache_bytes);
    contain(|| {
        Ok(builder.create_with_backend(CheckedPages::new(PageFile::new(file, Arc::clone(&medium.cold))?))?)
    })
}

fn close(database: Database) -> Result<(), Fault> {
    contain_fault(|| Ok(database.close()?))
}

/// What is there may be a planted directory or link: those stay.
fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        _ = fs::remove_file(path);
    }
}

/// The old database is as it was.
fn refusal(path: &Path, fault: &Fault) -> Fault {
    let error: Error = fault.error().clone();
    Fault::Refused(error.with_detail(format!("the file could not be written anew as {}", path.display())))
}
