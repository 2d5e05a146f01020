//! A blob's file while it is being written.

use std::{
    fs::File,
    io::{self, IoSlice, Write},
    time::SystemTime,
};

use bytes::Bytes;
use cache_core::{BLOCK_BYTES, BlobName, Envelope, Key, Sealer};

use crate::entry_dir::set_modified;

/// Hashed and written at a time, so that the second pass finds the bytes in the processor's cache.
const RUN: usize = 8 * BLOCK_BYTES;

/// A blob that is being written, with what stands before and behind it.
pub(crate) struct StagedBlob {
    name: BlobName,
    file: File,
    sealer: Sealer,
    /// Until it is written, together with the first bytes.
    header: Option<[u8; Envelope::HEADER_BYTES]>,
    bytes: u64,
}

impl StagedBlob {
    pub(crate) fn new(key: &Key, name: &BlobName, file: File) -> Self {
        let sealer = Sealer::new(key, name);
        Self { name: name.clone(), file, header: Some(sealer.header()), sealer, bytes: 0 }
    }

    pub(crate) fn append(&mut self, payload: &[Bytes]) -> io::Result<()> {
        let header = self.header.take();
        let rest = self.write(header.as_ref(), payload)?;
        write_all(&self.file, rest)
    }

    /// Answers the name and how many bytes the blob has.
    pub(crate) fn end(mut self, payload: &[Bytes], created: SystemTime) -> io::Result<(BlobName, u64)> {
        let header = self.header.take();
        let mut rest = self.write(header.as_ref(), payload)?;
        let trailer = self.sealer.finish().0;
        rest.push(IoSlice::new(&trailer));
        write_all(&self.file, rest)?;
        set_modified(&self.file, created)?;
        Ok((self.name, self.bytes))
    }

    /// Hashes and writes all but what is too little for a call of its own.
    fn write<'a>(
        &mut self,
        header: Option<&'a [u8; Envelope::HEADER_BYTES]>,
        payload: &'a [Bytes],
    ) -> io::Result<Vec<IoSlice<'a>>> {
        let mut slices: Vec<_> = header.into_iter().map(|header| IoSlice::new(header)).collect();
        let mut gathered = 0;
        for run in payload.iter().flat_map(|piece| piece.chunks(RUN)) {
            if gathered >= RUN {
                write_all(&self.file, std::mem::take(&mut slices))?;
                gathered = 0;
            }
            self.sealer.update(run);
            self.bytes += run.len() as u64;
            gathered += run.len();
            slices.push(IoSlice::new(run));
        }
        Ok(slices)
    }
}

fn write_all(mut file: &File, mut slices: Vec<IoSlice<'_>>) -> io::Result<()> {
    let mut rest = slices.as_mut_slice();
    // Those at the front that are empty go.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
