//! Where benchmarks put their files.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{failure::Result, harness::loop_mount::LoopMount};

const GIB: u64 = 1 << 30;

/// How a directory is made that a benchmark has to itself.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    parent: PathBuf,
    /// The bytes of a file system that is made anew each time.
    image: Option<u64>,
    pub(crate) description: String,
}

impl Ground {
    /// The directory that was asked for; without one a file system of its own for each benchmark, or, where
    /// none can be had, since mounts are not `private` say, the temporary directory of the system.
    pub(crate) fn find(dir: Option<&Path>, private: bool, quick: bool) -> Result<Self> {
        if let Some(dir) = dir {
            fs::create_dir_all(dir)?;
            let parent = fs::canonicalize(dir)?;
            let description = format!("{}, in a directory that was named", file_system(&parent));
            return Ok(Self { parent, image: None, description });
        }
        let parent = fs::canonicalize(env::temp_dir())?;
        let below = file_system(&parent);
        let image = if quick { 6 * GIB } else { 24 * GIB };
        let tried = Self { parent, image: Some(image), description: String::new() };
        let gib = image / GIB;
        let made = if private { tried.fresh() } else { Err("that needs root, and unshare".into()) };
        let missing = match made {
            Ok(_) => {
                let description = format!(
                    "ext4 with a journal, made anew for each benchmark in a file of {gib} GiB on {below} (loop device, direct I/O)"
                );
                return Ok(Self { description, ..tried });
            }
            Err(failure) => failure,
        };
        let description = format!(
            "{below}, in the temporary directory of the system: no file system could be made ({missing})"
        );
        Ok(Self { image: None, description, ..tried })
    }

    /// A directory that is empty. It goes with everything in it.
    pub(crate) fn fresh(&self) -> Result<Site> {
        let dir = tempfile::Builder::new().prefix("cache-bench-").tempdir_in(&self.parent)?;
        let Some(image) = self.image else { return Ok(Site { mount: None, dir }) };
        let mount = LoopMount::make(&self.parent, dir.path(), image)?;
        Ok(Site { mount: Some(mount), dir })
    }
}

/// A directory that one benchmark has to itself.
#[derive(Debug)]
pub(crate) struct Site {
    // Goes before the directory that it is mounted on.
    mount: Option<LoopMount>,
    dir: TempDir,
}

impl Site {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A new directory in it.
    pub(crate) fn subdir(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// Has the kernel forget what it knows of the files; answers whether it did. Nothing may be open.
    pub(crate) fn forget(&self) -> Result<bool> {
        match &self.mount {
            Some(mount) => mount.again().map(|()| true),
            None => {
                rustix::fs::sync();
                Ok(fs::write("/proc/sys/vm/drop_caches", "3").is_ok())
            }
        }
    }
}

/// The file system that a path lies on.
fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    below.max_by_key(|(length, _)| *length).map_or("an unknown file system", |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests;
