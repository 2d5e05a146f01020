//! The stored form of a call, version 1: a typed blob of MessagePack with named fields.
//!
//! The value of the result is not in it: it is the blob `result` beside it, also a typed blob, so that it
//! can be read alone and of any size.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    BlobName, Call, CodecId, Datum, Digest, Error, ErrorKind, MessagePack, PutEntry, Result, typed_blob,
};

const VERSION: u32 = 1;
/// The schema of the blob `result`, whose type is the application's.
pub(super) const RESULT_SCHEMA: u32 = 0;

pub(super) fn result_name() -> BlobName {
    BlobName::decode("~result").unwrap_or_default()
}

#[derive(Serialize, Deserialize)]
struct Record {
    name: String,
    module: Option<String>,
    version: Option<String>,
    code: Option<Digest>,
    arguments: Vec<(String, Datum)>,
    result: Option<Digest>,
    metadata: BTreeMap<String, Datum>,
    /// Nanoseconds since 1970.
    created: Option<i64>,
}

pub(super) fn encode(call: &Call) -> Result<Bytes> {
    let record = Record {
        name: call.name.clone(),
        module: call.module.clone(),
        version: call.version.clone(),
        code: call.code,
        arguments: call.arguments.clone(),
        result: call.result.as_ref().map(Datum::digest),
        metadata: call.metadata.clone(),
        created: call.created.map(nanoseconds),
    };
    typed_blob::encode(&MessagePack, VERSION, &record)
}

pub(super) fn decode(blob: &Bytes) -> Result<Call> {
    let record: Record = typed_blob::decode(&MessagePack, VERSION, blob)?;
    let call = Call {
        name: record.name,
        module: record.module,
        version: record.version,
        code: record.code,
        arguments: record.arguments,
        result: record.result.map(Datum::from),
        metadata: record.metadata,
        created: record.created.and_then(time),
    };
    match call.check() {
        Ok(()) => Ok(call),
        Err(error) => {
            let detail = "the record is not that of a call";
            Err(Error::new(ErrorKind::Codec, "", "").with_detail(detail).with_source(error))
        }
    }
}

/// The blobs of a call.
pub(super) fn entry(call: &Call) -> Result<PutEntry> {
    let entry = PutEntry::data(encode(call)?);
    Ok(match call.result.as_ref().and_then(Datum::bytes) {
        Some(value) => entry.with(result_name(), wrap(value)),
        None => entry,
    })
}

/// The value of a result as the blob `result`.
pub(super) fn wrap(value: &Bytes) -> Bytes {
    typed_blob::wrap(CodecId::MESSAGE_PACK, RESULT_SCHEMA, value)
}

/// The value of a result that is the blob `result`.
pub(super) fn unwrap(blob: &Bytes) -> Result<Bytes> {
    typed_blob::payload(CodecId::MESSAGE_PACK, RESULT_SCHEMA, blob)
}

/// To the nanosecond from 1678 to 2262; times beyond are moved to the ends.
fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    }
}

fn time(nanoseconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

#[cfg(test)]
mod tests;
