//! The canonical encoding of values that keys are hashes of. Its format is part of the documentation
//! of [`KeyBuilder`](crate::KeyBuilder), and a change to it is a new [`PREAMBLE`].

use std::borrow::Cow;

use serde::{Serialize, ser};

use crate::{DigestWriter, Error, ErrorKind};

mod encoder;
mod map;
mod sequence;
pub(crate) mod tag;

/// What every key begins with: the name and the version of the format.
pub(crate) const PREAMBLE: &[u8] = b"cache-key-v1\n";

/// A value lies within at most so many others, so that a deep one cannot exhaust the stack.
const MAX_DEPTH: usize = 128;

/// Where encoded bytes go: into a hash, or into the buffer of what is still to be sorted.
pub(crate) trait Sink {
    fn write(&mut self, bytes: &[u8]);
}

impl Sink for DigestWriter {
    fn write(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Sink for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Why a value has no encoding.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(Cow<'static, str>);

impl Failure {
    /// The error of a caller whose value, named by `what`, has no encoding.
    pub(crate) fn of(self, what: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Codec, "", "").with_detail(what).with_source(self)
    }
}

impl ser::Error for Failure {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

/// Writes the encoding of `value`. After a failure, what was written is worthless.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, sink: &mut dyn Sink) -> Result<(), Failure> {
    value.serialize(encoder::Encoder::new(sink))
}

/// Writes all that is hashed of a value which stands alone, outside of any operation.
pub(crate) fn encode_alone<T: Serialize + ?Sized>(value: &T, sink: &mut dyn Sink) -> Result<(), Failure> {
    sink.write(PREAMBLE);
    sink.write(&[tag::ALONE]);
    encode(value, sink)
}

/// Writes bytes or text with their length, behind a tag that says which.
pub(crate) fn write_octets(tag: u8, octets: &[u8], sink: &mut dyn Sink) {
    let mut head = [tag; 9];
    head[1..].copy_from_slice(&(octets.len() as u64).to_be_bytes());
    sink.write(&head);
    sink.write(octets);
}

#[cfg(test)]
pub(crate) mod tests;
