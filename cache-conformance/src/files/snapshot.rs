//! A copy of a directory tree as it stood at one moment.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

/// How often a copy is tried while the files change, and how long is waited in between.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(5);

/// What tells one state of a file or directory from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    directory: bool,
    len: u64,
    modified: SystemTime,
    number: u64,
}

type Tree = BTreeMap<PathBuf, State>;

/// Copies the directories and regular files of `from` to `to`, which is not there. If they change
/// meanwhile, tries again. Of nothing there is nothing to copy.
pub(super) fn take(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::exists(from)? {
        return Ok(());
    }
    for _ in 0..TRIES {
        let mut copied = Tree::new();
        let taken = copy(from, Path::new(""), to, &mut copied).and_then(|()| {
            let mut after = Tree::new();
            look(from, Path::new(""), &mut after)?;
            Ok(copied == after && has_same_bytes(from, to, &copied)?)
        });
        match taken {
            Ok(true) => return stamp(to, &copied),
            // What vanished between two looks has changed, too.
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match fs::remove_dir_all(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => thread::sleep(PAUSE),
        }
    }
    Err(io::Error::other("the files do not stand still"))
}

/// Whether the files still have the bytes that were copied, all of them at one moment then. Times alone
/// do not tell: clocks of file systems tick slowly, and several writes in one tick look like one.
fn has_same_bytes(from: &Path, to: &Path, copied: &Tree) -> io::Result<bool> {
    for path in copied.iter().filter(|(_, state)| !state.directory).map(|(path, _)| path) {
        if fs::read(from.join(path))? != fs::read(to.join(path))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn look(from: &Path, path: &Path, tree: &mut Tree) -> io::Result<()> {
    walk(from, path, tree, &mut |_, _| Ok(()))
}

fn copy(from: &Path, path: &Path, to: &Path, tree: &mut Tree) -> io::Result<()> {
    fs::create_dir_all(to)?;
    walk(from, path, tree, &mut |path, state| match state.directory {
        true => fs::create_dir_all(to.join(path)),
        false => fs::copy(from.join(path), to.join(path)).map(|_| ()),
    })
}

fn walk(
    from: &Path,
    path: &Path,
    tree: &mut Tree,
    visit: &mut dyn FnMut(&Path, State) -> io::Result<()>,
) -> io::Result<()> {
    let found = fs::symlink_metadata(from.join(path))?;
    let state = State {
        directory: found.is_dir(),
        len: found.len(),
        modified: found.modified()?,
        number: number_of(&found),
    };
    if !found.is_dir() && !found.is_file() {
        return Ok(());
    }
    tree.insert(path.to_owned(), state);
    visit(path, state)?;
    if found.is_dir() {
        for child in fs::read_dir(from.join(path))? {
            walk(from, &path.join(child?.file_name()), tree, visit)?;
        }
    }
    Ok(())
}

/// Gives the copies the times of what they are copies of; directories last, as their files change them.
fn stamp(to: &Path, copied: &Tree) -> io::Result<()> {
    for (path, state) in copied.iter().rev() {
        // A directory cannot be opened for writing; its times can be set all the same.
        fs::File::open(to.join(path))?.set_modified(state.modified)?;
    }
    Ok(())
}

#[cfg(unix)]
fn number_of(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn number_of(_found: &fs::Metadata) -> u64 {
    0
}
