//! The layout of a typed blob, version 1: a header of 16 bytes, then what the codec wrote.
//!
//! | At | Bytes | What                        |
//! |----|-------|-----------------------------|
//! | 0  | 4     | `8e 43 54 56`               |
//! | 4  | 2     | version of this layout, 1   |
//! | 6  | 2     | flags, 0                    |
//! | 8  | 4     | codec                       |
//! | 12 | 4     | schema, the application's   |
//!
//! Numbers are little-endian. Damage is the store's to find: this only tells whose bytes these are.

use std::{
    error::Error as StdError,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Codec, CodecId, Error, ErrorKind, Result, cache::panic_message};

const MAGIC: [u8; 4] = *b"\x8eCTV";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;

fn header(codec: CodecId, schema: u32) -> [u8; HEADER_BYTES] {
    let [m0, m1, m2, m3] = MAGIC;
    let [v0, v1] = VERSION.to_le_bytes();
    let [c0, c1, c2, c3] = codec.to_bytes();
    let [s0, s1, s2, s3] = schema.to_le_bytes();
    [m0, m1, m2, m3, v0, v1, 0, 0, c0, c1, c2, c3, s0, s1, s2, s3]
}

/// # Errors
///
/// [`Codec`](ErrorKind::Codec) if the codec refuses the value.
pub(crate) fn encode<C, T>(codec: &C, schema: u32, value: &T) -> Result<Bytes>
where
    C: Codec,
    T: Serialize + ?Sized,
{
    let header = header(codec.id(), schema);
    let mut blob = header.to_vec();
    contained(|| codec.encode(value, &mut blob))
        .map_err(|error| refusal("the value cannot be encoded").with_source(error))?;
    if !blob.starts_with(&header) {
        return Err(refusal("the codec changed bytes that are not its own"));
    }
    // Budgets count the length: a reserve that stays would be memory that nobody counts.
    blob.shrink_to_fit();
    Ok(blob.into())
}

/// What a codec wrote before, behind a header.
#[cfg(feature = "calls")]
pub(crate) fn wrap(codec: CodecId, schema: u32, payload: &[u8]) -> Bytes {
    let mut blob = Vec::with_capacity(HEADER_BYTES.saturating_add(payload.len()));
    blob.extend_from_slice(&header(codec, schema));
    blob.extend_from_slice(payload);
    blob.into()
}

/// # Errors
///
/// [`Codec`](ErrorKind::Codec) if this is not a blob of that codec and schema, or not of a `T`.
pub(crate) fn decode<C: Codec, T: DeserializeOwned>(codec: &C, schema: u32, blob: &Bytes) -> Result<T> {
    let payload = payload(codec.id(), schema, blob)?;
    contained(|| codec.decode(&payload))
        .map_err(|error| refusal("the value cannot be decoded").with_source(error))
}

/// What the codec wrote; a slice of `blob`.
///
/// # Errors
///
/// [`Codec`](ErrorKind::Codec) if this is not a blob of that codec and schema.
pub(crate) fn payload(codec: CodecId, schema: u32, blob: &Bytes) -> Result<Bytes> {
    let raw = || refusal("these bytes are no typed value");
    let mut rest = blob.get(..HEADER_BYTES).ok_or_else(raw)?;
    if take::<4>(&mut rest) != Some(MAGIC) {
        return Err(raw());
    }
    let version = take(&mut rest).map(u16::from_le_bytes).ok_or_else(raw)?;
    let flags = take(&mut rest).map(u16::from_le_bytes).ok_or_else(raw)?;
    if (version, flags) != (VERSION, 0) {
        return Err(refusal(format!(
            "the layout is version {version} with flags {flags:#x}, this program reads version {VERSION}"
        )));
    }
    let found = take(&mut rest).map(CodecId::from_stored).ok_or_else(raw)?;
    if found != codec {
        return Err(refusal(format!("the codec is {found}, not {codec}")));
    }
    let found = take(&mut rest).map(u32::from_le_bytes).ok_or_else(raw)?;
    if found != schema {
        return Err(refusal(format!("the schema is version {found}, not {schema}")));
    }
    Ok(blob.slice(HEADER_BYTES..))
}

type CodecError = Box<dyn StdError + Send + Sync>;

/// A codec that panics is one that fails.
fn contained<T>(work: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("it panicked: {}", panic_message(&*panic)).into()))
}

fn refusal(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Codec, "", "").with_detail(detail)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests;
