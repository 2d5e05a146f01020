//! The pages that hold the database together, checked when they are read.
//!
//! The database trusts each page that it reads. What it takes from a damaged one for the number of a page, or for what is
//! free, can make it panic where what it holds panics again when it is dropped: that ends the process, and nobody can
//! contain it. So a page that tells of others, or is one of the database's own tables, is not read if it is not as what
//! refers to it tells. Leaves with rows of ours are: each row tells by itself whether it is right.

mod layout;

use std::{
    collections::{HashMap, HashSet},
    io, mem,
    ops::Bound,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{BackendError, StorageBackend};

use self::layout::{BRANCH, DEEPEST, Geometry, HEADER, PageRef};

type Locked<T> = Result<T, BackendError>;

/// Bytes of a database, of which some pages are verified.
#[derive(Debug)]
pub(crate) struct CheckedPages<B> {
    inner: B,
    state: RwLock<State>,
    /// Whether the header was written since the last look.
    is_new: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    geometry: Option<Geometry>,
    /// What is to be at which place. What is written there later is not among them.
    known: HashMap<u64, PageRef>,
    /// Branches that were written since the last look.
    branches: HashSet<u64>,
}

impl<B: StorageBackend> CheckedPages<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner, state: RwLock::default(), is_new: AtomicBool::new(false) }
    }

    fn known(&self, offset: u64) -> Option<PageRef> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).known.get(&offset).copied()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks for the pages of the last commit that is durable. Of those of the commits before it that are still in use
    /// nothing changes. The database's own are all read, and branches that are new; others are when the database does.
    fn look(&self) {
        let mut header = [0; HEADER];
        let Ok(len) = self.inner.len() else { return };
        if self.inner.read(0, &mut header).is_err() {
            return;
        }
        let Some((geometry, roots)) = layout::roots(&header, len) else { return };
        // A commit is made durable before it is called the last.
        if roots.iter().all(|root| self.known(root.offset) == Some(*root)) {
            return;
        }
        let written = self.change(|state| {
            state.geometry = Some(geometry);
            mem::take(&mut state.branches)
        });
        let mut next = roots;
        while let Some(page) = next.pop() {
            let page = match page.height {
                Some(_) => page,
                None => page.of_height(Some(self.height(&geometry, page))),
            };
            if page.is_unchecked() || self.known(page.offset) == Some(page) {
                continue;
            }
            self.change(|state| state.known.insert(page.offset, page));
            if (page.is_own() || written.contains(&page.offset))
                && let Some(bytes) = self.right(&page)
            {
                next.extend(page.children(&geometry, &bytes));
            }
        }
    }

    /// The bytes of a page, if they are right.
    fn right(&self, page: &PageRef) -> Option<Vec<u8>> {
        let mut bytes = vec![0; page.len];
        self.inner.read(page.offset, &mut bytes).ok()?;
        page.is_right(&bytes).then_some(bytes)
    }

    /// How many branches lie one upon the other down to a leaf of a tree.
    fn height(&self, geometry: &Geometry, root: PageRef) -> u8 {
        let mut page = root;
        for above in 0..DEEPEST {
            let known = self.known(page.offset).filter(|known| known.of_height(None) == page);
            if let Some(height) = known.and_then(|known| known.height) {
                return above + height;
            }
            let mut kind = [0];
            if self.inner.read(page.offset, &mut kind).is_err() || kind != [BRANCH] {
                return above;
            }
            // One that is damaged is not read by the database either.
            let first =
                self.right(&page).and_then(|bytes| page.children(geometry, &bytes).into_iter().next());
            let Some(first) = first else { return above + 1 };
            page = first;
        }
        DEEPEST
    }

    /// What the database reads tells of further branches.
    fn learn(&self, page: &PageRef, bytes: &[u8]) {
        let geometry = self.state.read().unwrap_or_else(PoisonError::into_inner).geometry;
        let Some(geometry) = geometry else { return };
        let children = page.children(&geometry, bytes);
        if children.first().is_some_and(|first| self.known(first.offset) != Some(*first)) {
            self.change(|state| state.known.extend(children.into_iter().map(|child| (child.offset, child))));
        }
    }
}

impl<B: StorageBackend> StorageBackend for CheckedPages<B> {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, into)?;
        if offset == 0 {
            self.look();
        }
        match self.known(offset) {
            Some(page) if page.len == into.len() => {
                if !page.is_right(into) {
                    let told = "a page that holds the database together is damaged";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, told));
                }
                if page.has_branches() {
                    self.learn(&page, into);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset == 0 {
            self.is_new.store(true, Ordering::Relaxed);
        } else {
            let is_branch = data.first() == Some(&BRANCH);
            self.change(|state| {
                state.known.remove(&offset);
                if is_branch {
                    state.branches.insert(offset);
                }
            });
        }
        self.inner.write(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()?;
        if self.is_new.swap(false, Ordering::Relaxed) {
            self.look();
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|state| state.known.retain(|offset, _| *offset < len));
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.inner.query_lock_range(start, end)
    }
}

#[cfg(test)]
pub(crate) mod tests;
