use std::io;

use cache_core::{Error, ErrorKind, Key, Result};
use rustix::io::Errno;

use crate::root::{Root, entry_path};

/// What is being done to which entry: what an error about it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    pub(crate) root: &'a Root,
    pub(crate) key: &'a Key,
    pub(crate) operation: &'static str,
}

impl At<'_> {
    fn path(&self) -> String {
        self.root.path.join(entry_path(self.key)).display().to_string()
    }

    /// A failed system call.
    pub(crate) fn failed(&self, error: impl Into<io::Error>) -> Error {
        let error: io::Error = error.into();
        let blocked =
            matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::LOOP | Errno::NOTDIR));
        if blocked {
            let detail =
                format!("a symbolic link or a file stands where a directory belongs: {}", self.path());
            return self.corrupt(detail).with_source(error);
        }
        Error::from_io("disk", self.operation, error).with_detail(self.path()).with_key(self.key)
    }

    pub(crate) fn corrupt(&self, detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        self.named(Error::corrupt(detail))
    }

    pub(crate) fn too_large(&self, detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        self.named(Error::new(ErrorKind::TooLarge, "", "").with_detail(detail))
    }

    /// An error that knows nothing of the store yet.
    pub(crate) fn named(&self, error: Error) -> Error {
        error.at("disk", self.operation).with_key(self.key)
    }

    /// A call that only the random numbers or the session can fail.
    pub(crate) fn keyed<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.with_key(self.key))
    }
}
