//! Bytes whose copies share what they have in common, so that a copy costs next to nothing.

use std::{fmt, io, ops::Range, sync::Arc};

const PAGE: usize = 4096;

#[derive(Clone)]
pub(crate) struct Pages {
    pages: Vec<Arc<[u8; PAGE]>>,
    zeros: Arc<[u8; PAGE]>,
    len: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self { pages: Vec::new(), zeros: Arc::new([0; PAGE]), len: 0 }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Pages {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut pages = Self::default();
        pages.write(0, bytes);
        pages
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(0, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn read(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        each_page(offset, out.len(), |page, within, at| {
            out[at].copy_from_slice(&self.pages[page][within]);
        });
        Ok(())
    }

    /// As a file takes it: it may begin beyond the end.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if offset + bytes.len() > self.len {
            self.set_len(offset + bytes.len());
        }
        each_page(offset, bytes.len(), |page, within, at| {
            Arc::make_mut(&mut self.pages[page])[within].copy_from_slice(&bytes[at]);
        });
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        self.pages.resize_with(len.div_ceil(PAGE), || self.zeros.clone());
        // What is grown over again later is zeros.
        if len < self.len && !len.is_multiple_of(PAGE) {
            Arc::make_mut(&mut self.pages[len / PAGE])[len % PAGE..].fill(0);
        }
        self.len = len;
    }
}

fn each_page(offset: usize, len: usize, mut visit: impl FnMut(usize, Range<usize>, Range<usize>)) {
    let mut at = 0;
    while at < len {
        let (page, start) = ((offset + at) / PAGE, (offset + at) % PAGE);
        let piece = (PAGE - start).min(len - at);
        visit(page, start..start + piece, at..at + piece);
        at += piece;
    }
}
