/// How hard [`Compressed`](crate::Compressed) tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressOptions {
    /// The level of zstd, 1 (fast) to 22 (small). 3 by default, its authors' choice: a few hundred MB/s.
    pub level: i32,
    /// Blobs of fewer bytes are stored as they are. 128 by default: below, a frame costs what it saves.
    pub min_bytes: usize,
}

impl Default for CompressOptions {
    fn default() -> Self {
        Self { level: 3, min_bytes: 128 }
    }
}

impl CompressOptions {
    /// Sets the level of zstd: 1 to 22, anything else means the nearest of these.
    #[must_use]
    pub fn with_level(mut self, level: i32) -> Self {
        self.level = level.clamp(1, 22);
        self
    }

    /// Sets from how many bytes on compressing is tried.
    #[must_use]
    pub fn with_min_bytes(mut self, bytes: usize) -> Self {
        self.min_bytes = bytes;
        self
    }

    /// What is compressed at once in a few hundred microseconds, so that no other thread is needed.
    pub(super) fn inline_bytes(self) -> usize {
        if self.level <= 5 { 64 << 10 } else { 4 << 10 }
    }
}
