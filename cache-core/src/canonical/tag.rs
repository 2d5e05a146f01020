//! The first byte of everything that is encoded: letters, so that a dump can be read.

/// A value that stands alone.
pub(crate) const ALONE: u8 = b'V';
/// An operation with its arguments.
pub(crate) const OPERATION: u8 = b'O';
/// A positional argument.
pub(crate) const ARGUMENT: u8 = b'a';
/// A positional argument that is raw bytes.
pub(crate) const RAW_ARGUMENT: u8 = b'b';

pub(crate) const UNIT: u8 = b'u';
pub(crate) const NONE: u8 = b'n';
pub(crate) const SOME: u8 = b's';
pub(crate) const FALSE: u8 = b'f';
pub(crate) const TRUE: u8 = b't';
/// An integer of at least 0.
pub(crate) const NATURAL: u8 = b'+';
/// An integer below 0.
pub(crate) const NEGATIVE: u8 = b'-';
pub(crate) const FLOAT: u8 = b'd';
pub(crate) const TEXT: u8 = b'T';
pub(crate) const BYTES: u8 = b'B';
pub(crate) const SEQUENCE: u8 = b'[';
pub(crate) const SEQUENCE_END: u8 = b']';
pub(crate) const MAP: u8 = b'{';
pub(crate) const MAP_END: u8 = b'}';
/// A variant that carries nothing.
pub(crate) const UNIT_VARIANT: u8 = b'e';
/// A variant that carries a value.
pub(crate) const VARIANT: u8 = b'E';
