//! The set `s3`: stores that keep their entries in a bucket of a server.

mod get;
mod keys;
mod list;
mod put;
mod requests;
mod stream;

use crate::harness::bench::Set;

/// In the order of the targets O1 to O3, and then what there is no target for.
pub(crate) const SET: Set = Set {
    name: "s3",
    rivals: &["object_store", "opendal"],
    on_disk: false,
    benches: &[requests::BENCH, get::BENCH, put::BENCH, stream::BENCH, keys::BENCH, list::BENCH],
};
