//! What reaches behind a store that keeps files.

mod snapshot;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{Error, ErrorKind, Key, Result};
use tokio::task::spawn_blocking;

use crate::{Crash, Damage};

/// [`Damage`] and [`Crash`] for a store that keeps files below one directory.
///
/// Have the [`Factory`](crate::Factory) open the store in [`dir`](Self::dir), which a crash changes: what
/// is opened next is a copy of all files as they stood, and the old store writes where nobody looks.
///
/// A crash here is the death of a process: what it has written is there, whether or not it was flushed.
/// What a power cut takes besides is not.
///
/// ```
/// use cache_conformance::Files;
///
/// // `<dir>/<namespace>/<digest>.blob`
/// let files = Files::new("/a/temporary/directory", |key| {
///     let parts = key.namespace.encoded();
///     std::path::Path::new(parts).join(format!("{}.blob", key.digest))
/// });
/// assert!(files.dir().starts_with("/a/temporary/directory"));
/// ```
#[derive(Clone)]
pub struct Files {
    root: PathBuf,
    place: Arc<Place>,
    /// How often the store died; `None` for a directory that stays the same.
    crashes: Option<Arc<AtomicU64>>,
}

type Place = dyn Fn(&Key) -> PathBuf + Send + Sync;

impl Files {
    /// `root` is a directory for this alone, such as a temporary one. It is `place` that knows the store's
    /// layout: the path, relative to the store's directory, of the file of an entry or of a directory.
    /// All regular files at or below that path which have the 64 digits of the digest in their own paths
    /// are objects of the entry.
    pub fn new(root: impl Into<PathBuf>, place: impl Fn(&Key) -> PathBuf + Send + Sync + 'static) -> Self {
        Self { root: root.into(), place: Arc::new(place), crashes: Some(Arc::default()) }
    }

    /// As [`new`](Self::new), for a store that stays in `dir` itself, which may be in use: it can be damaged
    /// and not killed.
    pub fn in_place(
        dir: impl Into<PathBuf>,
        place: impl Fn(&Key) -> PathBuf + Send + Sync + 'static,
    ) -> Self {
        Self { root: dir.into(), place: Arc::new(place), crashes: None }
    }

    /// The directory that the store is to be opened in now. It may not be there yet.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        match &self.crashes {
            Some(crashes) => self.life(crashes.load(Ordering::SeqCst)),
            None => self.root.clone(),
        }
    }

    fn life(&self, crashes: u64) -> PathBuf {
        self.root.join(format!("after-{crashes}-crashes"))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("dir", &self.dir()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Damage for Files {
    async fn objects(&self, key: &Key) -> Result<Vec<String>> {
        let (dir, place, digits) = (self.dir(), (self.place)(key), key.digest.to_string());
        blocking("look for objects", move || {
            let mut objects = Vec::new();
            collect(&dir, &place, &digits, &mut objects)?;
            objects.sort();
            Ok(objects)
        })
        .await
    }

    async fn read(&self, object: &str) -> Result<Bytes> {
        let path = self.dir().join(object);
        blocking("read an object", move || fs::read(path).map(Bytes::from)).await
    }

    /// In place. A file that is there keeps its time of modification, as it does when a disk rots.
    async fn write(&self, object: &str, bytes: Bytes) -> Result<()> {
        let path = self.dir().join(object);
        blocking("write an object", move || {
            let modified = fs::metadata(&path).and_then(|found| found.modified()).ok();
            fs::write(&path, &bytes)?;
            match modified {
                Some(modified) => fs::File::options().write(true).open(&path)?.set_modified(modified),
                None => Ok(()),
            }
        })
        .await
    }

    async fn remove(&self, object: &str) -> Result<()> {
        let path = self.dir().join(object);
        blocking("remove an object", move || fs::remove_file(path)).await
    }
}

#[async_trait]
impl Crash for Files {
    async fn crash(&self) -> Result<()> {
        let Some(count) = &self.crashes else {
            let error = Error::new(ErrorKind::Unsupported, "files", "crash");
            return Err(error.with_detail("the store stays in its directory"));
        };
        let crashes = count.load(Ordering::SeqCst);
        let (from, to) = (self.life(crashes), self.life(crashes + 1));
        blocking("copy the files", move || snapshot::take(&from, &to)).await?;
        count.store(crashes + 1, Ordering::SeqCst);
        Ok(())
    }
}

/// Adds the regular files at or below `dir/path`, by their paths below `dir`.
fn collect(dir: &Path, path: &Path, digits: &str, objects: &mut Vec<String>) -> io::Result<()> {
    let found = match fs::symlink_metadata(dir.join(path)) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        let children = match fs::read_dir(dir.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            children => children?,
        };
        for child in children {
            collect(dir, &path.join(child?.file_name()), digits, objects)?;
        }
    } else if found.is_file()
        && let Some(object) = path.to_str()
        && object.contains(digits)
    {
        objects.push(object.to_owned());
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let failed = |error: io::Error| Error::new(ErrorKind::Unavailable, "files", operation).with_source(error);
    spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
}

#[cfg(test)]
mod tests;
