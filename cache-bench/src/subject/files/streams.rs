//! What is too large to be in memory.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use cache_core::{BlobName, ByteStream, Cache, Digest, Error, ErrorKind, GetOptions, PutEntry, PutOptions};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::spawn_blocking;

use crate::failure::Result;

/// A piece of a stream.
pub(crate) const PIECE: usize = 1 << 20;

/// One that takes and gives values piece by piece.
pub(crate) trait Streams: Send + Sync + 'static {
    fn put_stream(
        &self,
        digest: Digest,
        bytes: u64,
        stream: ByteStream,
    ) -> impl Future<Output = Result<()>> + Send;

    fn get_stream(&self, digest: Digest) -> impl Future<Output = Result<ByteStream>> + Send;

    /// Removes what is there, if anything is.
    fn remove(&self, digest: Digest) -> impl Future<Output = Result<()>> + Send;
}

impl Streams for Cache {
    async fn put_stream(&self, digest: Digest, bytes: u64, stream: ByteStream) -> Result<()> {
        let entry = PutEntry::default().with_stream(BlobName::DATA, Some(bytes), stream);
        if self.put_with(digest, entry, PutOptions::default()).await?.is_stored() {
            Ok(())
        } else {
            Err("a put was refused".into())
        }
    }

    async fn get_stream(&self, digest: Digest) -> Result<ByteStream> {
        let found = self.get_with(digest, &BlobName::DATA, GetOptions::default()).await?;
        Ok(found.ok_or("a get missed")?.into_stream())
    }

    async fn remove(&self, digest: Digest) -> Result<()> {
        Ok(self.evict(digest).await?)
    }
}

pub(crate) fn failed(error: impl Into<std::io::Error>) -> Error {
    Error::new(ErrorKind::Unavailable, "bench", "stream").with_source(error.into())
}

/// The bytes of a file, each piece in one hop to a blocking thread.
pub(crate) async fn of_file(path: &Path) -> Result<ByteStream> {
    let path = path.to_owned();
    let file = spawn_blocking(move || File::open(path)).await??;
    let pieces = stream::try_unfold(file, |file| async {
        let read = spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            let read = (&file).take(PIECE as u64).read_to_end(&mut piece);
            read.map(|read| (read > 0).then(|| (piece.into(), file)))
        });
        read.await.map_err(failed)?.map_err(failed)
    });
    Ok(pieces.boxed())
}

/// Writes a file, each piece in one hop to a blocking thread; answers its length.
pub(crate) async fn to_file(mut stream: ByteStream, path: &Path) -> Result<u64> {
    let path = path.to_owned();
    let mut file = spawn_blocking(move || File::create(path)).await??;
    let mut bytes = 0;
    while let Some(piece) = stream.try_next().await? {
        bytes += piece.len() as u64;
        file = spawn_blocking(move || file.write_all(&piece).map(|()| file)).await??;
    }
    Ok(bytes)
}

#[cfg(feature = "rivals")]
mod rivals {
    use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart, local::LocalFileSystem};

    use super::{ByteStream, Digest, PIECE, Result, StreamExt, Streams, TryStreamExt, failed};
    use crate::subject::files::{object_store::path, opendal};

    impl Streams for LocalFileSystem {
        async fn put_stream(&self, digest: Digest, _: u64, mut stream: ByteStream) -> Result<()> {
            let upload = self.put_multipart_opts(&path(&digest), Default::default()).await?;
            let mut writer = WriteMultipart::new(upload);
            while let Some(piece) = stream.try_next().await? {
                // Or it would take all of it into memory.
                writer.wait_for_capacity(2).await?;
                writer.put(piece);
            }
            writer.finish().await?;
            Ok(())
        }

        async fn get_stream(&self, digest: Digest) -> Result<ByteStream> {
            let found = ObjectStoreExt::get(self, &path(&digest)).await?;
            Ok(found.into_stream().map_err(|error| failed(std::io::Error::other(error))).boxed())
        }

        async fn remove(&self, digest: Digest) -> Result<()> {
            match ObjectStoreExt::delete(self, &path(&digest)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
    }

    impl Streams for opendal::OpendalFs {
        async fn put_stream(&self, digest: Digest, _: u64, mut stream: ByteStream) -> Result<()> {
            let mut writer = self.0.writer(&opendal::path(&digest)).await?;
            while let Some(piece) = stream.try_next().await? {
                writer.write(piece).await?;
            }
            writer.close().await?;
            Ok(())
        }

        async fn get_stream(&self, digest: Digest) -> Result<ByteStream> {
            let reader = self.0.reader_with(&opendal::path(&digest)).chunk(PIECE).await?;
            Ok(reader.into_bytes_stream(..).await?.map_err(failed).boxed())
        }

        async fn remove(&self, digest: Digest) -> Result<()> {
            Ok(self.0.delete(&opendal::path(&digest)).await?)
        }
    }
}
