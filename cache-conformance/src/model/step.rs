#![expect(clippy::expect_used, reason = "names and digests are constants that are known to be valid")]

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use cache_core::{
    ByteRange, CleanPolicy, GetOptions, Key, ListOptions, Namespace, PutEntry, PutMode, PutOptions,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{Entry, Put, Written};
use crate::sample;

/// One operation. Everything is told by small numbers, so that sequences shrink and can be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Put {
        at: At,
        mode: PutMode,
        blobs: Vec<NewBlob>,
        hours: Option<u64>,
    },
    Get {
        at: At,
        name: &'static str,
        range: Option<(u64, Option<u64>)>,
        streamed: bool,
    },
    GetNow {
        at: At,
        name: &'static str,
    },
    GetEntry {
        at: At,
        streamed: bool,
    },
    Contains {
        at: At,
    },
    Meta {
        at: At,
    },
    Evict {
        at: At,
    },
    List {
        scope: &'static str,
        recursive: bool,
        prefix: Option<&'static str>,
        after: Option<At>,
        limit: Option<usize>,
    },
    Usage {
        scope: &'static str,
    },
    Clean {
        scope: &'static str,
        hours: Option<u64>,
        bytes: Option<u64>,
    },
    Flush,
    Reopen,
}

/// Where an entry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) namespace: &'static str,
    pub(crate) digest: &'static str,
}

/// A blob to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewBlob {
    pub(crate) name: &'static str,
    pub(crate) len: usize,
    /// Put as a stream that promises its length, or does not; else in hand.
    pub(crate) promised: Option<bool>,
}

pub(crate) const NAMESPACES: [&str; 3] = ["", "a", "a/b"];
const DIGESTS: [&str; 3] = ["0a", "0a1", "f"];
pub(crate) const NAMES: [&str; 3] = ["data", "log", "x"];

/// Where the entries of one sequence lie, and when it began.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: Namespace,
    began: SystemTime,
}

impl Place {
    /// A place of its own for each number.
    pub(crate) fn new(number: u64) -> Self {
        Self { root: sample::namespace(&format!("case {number}")), began: sample::hours_ago(0) }
    }

    pub(crate) fn namespace(&self, path: &str) -> Namespace {
        self.root.join(&sample::namespace(path)).expect("a short path")
    }

    pub(crate) fn key(&self, at: At) -> Key {
        Key::new(self.namespace(at.namespace), sample::digest_starting(at.digest))
    }

    /// When something is made that is so many hours old.
    fn made(&self, hours: u64) -> SystemTime {
        self.began - Duration::from_secs(hours * 3600)
    }

    /// Whether something that was made then is older than so many hours and a half.
    pub(crate) fn is_outdated(&self, made: SystemTime, hours: u64) -> bool {
        made < self.made(hours)
    }
}

impl At {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        NAMESPACES.iter().flat_map(|namespace| DIGESTS.iter().map(|digest| Self { namespace, digest }))
    }
}

/// What a put writes: as the store gets it, and as the model knows it.
pub(crate) fn entry(place: &Place, blobs: &[NewBlob], hours: Option<u64>, step: usize) -> (PutEntry, Put) {
    let created = hours.map(|hours| place.made(hours));
    let (mut put, mut known) = (PutEntry::default(), Entry::new());
    for (number, blob) in (0..).zip(blobs) {
        let bytes = sample::bytes(step as u64 * 4 + number, blob.len);
        let name = sample::name(blob.name);
        put = match blob.promised {
            None => put.with(name, bytes.clone()),
            Some(tells) => put.with_stream(name, tells.then_some(blob.len as u64), sample::stream_of(&bytes)),
        };
        known.insert(blob.name.to_owned(), Written { bytes, created, step });
    }
    (put, Put { blobs: known, streams: blobs.iter().any(|blob| blob.promised.is_some()) })
}

pub(crate) fn put_options(place: &Place, mode: PutMode, hours: Option<u64>) -> PutOptions {
    let mut options = PutOptions::mode(mode);
    options.created = hours.map(|hours| place.made(hours));
    options
}

pub(crate) fn get_options(range: Option<(u64, Option<u64>)>, streamed: bool) -> GetOptions {
    let mut options = GetOptions::default();
    options.range =
        range.map(|(start, len)| ByteRange::new(start, len.map(|len| start + len)).expect("a range"));
    if streamed { options.with_stream_above(0) } else { options }
}

pub(crate) fn clean_policy(hours: Option<u64>, bytes: Option<u64>) -> CleanPolicy {
    let mut policy = CleanPolicy::default();
    policy.max_age = hours.map(|hours| Duration::from_secs(hours * 3600 + 1800));
    policy.max_bytes = bytes;
    policy
}

impl Step {
    /// What to list.
    pub(crate) fn listing(
        place: &Place,
        scope: &str,
        recursive: bool,
        prefix: Option<&str>,
        after: Option<At>,
        limit: Option<usize>,
    ) -> ListOptions {
        let mut options = ListOptions::of(&place.namespace(scope));
        options.recursive = recursive;
        options.prefix = prefix.map(|prefix| prefix.parse().expect("a prefix"));
        options.start_after = after.map(|at| place.key(at));
        options.limit = limit;
        options
    }
}

/// Sequences of operations on few entries: most of them on the first one.
pub(crate) fn sequences() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..=SEQUENCE)
}

/// How many operations a sequence has at most.
const SEQUENCE: usize = 64;

fn step() -> impl Strategy<Value = Step> {
    let streamed = any::<bool>;
    prop_oneof![
        12 => (at(), mode(), blobs(), option::of(0..6_u64))
            .prop_map(|(at, mode, blobs, hours)| Step::Put { at, mode, blobs, hours }),
        4 => (at(), name(), option::of(range()), streamed())
            .prop_map(|(at, name, range, streamed)| Step::Get { at, name, range, streamed }),
        2 => (at(), name()).prop_map(|(at, name)| Step::GetNow { at, name }),
        3 => (at(), streamed()).prop_map(|(at, streamed)| Step::GetEntry { at, streamed }),
        1 => at().prop_map(|at| Step::Contains { at }),
        1 => at().prop_map(|at| Step::Meta { at }),
        4 => at().prop_map(|at| Step::Evict { at }),
        2 => (scope(), any::<bool>(), option::of(select(vec!["0", "0a", "0a0", "f", "e"])), option::of(at()),
            option::of(0..5_usize))
            .prop_map(|(scope, recursive, prefix, after, limit)| {
                Step::List { scope, recursive, prefix, after, limit }
            }),
        1 => scope().prop_map(|scope| Step::Usage { scope }),
        3 => (scope(), option::of(0..6_u64), option::of(select(vec![0, 0, 1000, 66_000, 200_000])))
            .prop_map(|(scope, hours, bytes)| Step::Clean { scope, hours, bytes }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

fn at() -> impl Strategy<Value = At> {
    prop_oneof![
        3 => Just(At { namespace: "", digest: "0a" }),
        2 => select(At::all().collect::<Vec<_>>()),
    ]
}

fn scope() -> impl Strategy<Value = &'static str> {
    prop_oneof![2 => Just(""), 1 => select(NAMESPACES.to_vec())]
}

fn name() -> impl Strategy<Value = &'static str> {
    select(NAMES.to_vec())
}

fn mode() -> impl Strategy<Value = PutMode> {
    select(vec![PutMode::Replace, PutMode::Merge, PutMode::Fill])
}

fn blobs() -> impl Strategy<Value = Vec<NewBlob>> {
    let names = proptest::sample::subsequence(NAMES.to_vec(), 1..=NAMES.len());
    let len = prop_oneof![
        9 => select(vec![0, 1, 10, 300]),
        1 => select(vec![30_000, 65_535, 65_536, 65_537]),
    ];
    (names, vec((len, option::weighted(0.3, any::<bool>())), NAMES.len())).prop_map(|(names, rest)| {
        let blobs = names.into_iter().zip(rest);
        blobs.map(|(name, (len, promised))| NewBlob { name, len, promised }).collect()
    })
}

fn range() -> impl Strategy<Value = (u64, Option<u64>)> {
    (select(vec![0, 1, 9, 10, 11, 65_535]), option::of(select(vec![0, 1, 5, 65_536])))
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.namespace.is_empty() { "" } else { "/" };
        write!(f, "{}{separator}{}…", self.namespace, self.digest)
    }
}

impl fmt::Display for NewBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, super::counted(self.len))?;
        match self.promised {
            None => Ok(()),
            Some(true) => f.write_str(" streamed"),
            Some(false) => f.write_str(" streamed without their length"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streamed = |streamed: bool| if streamed { ", streamed" } else { "" };
        match self {
            Self::Put { at, mode, blobs, hours } => {
                let blobs: Vec<_> = blobs.iter().map(ToString::to_string).collect();
                write!(f, "put {at} as {mode:?} {{{}}}", blobs.join(", "))?;
                hours.map_or(Ok(()), |hours| write!(f, ", made {hours} hours ago"))
            }
            Self::Get { at, name, range, streamed: as_stream } => {
                write!(f, "get {at} {name}")?;
                match range {
                    None => Ok(()),
                    Some((start, None)) => write!(f, ", bytes {start}.."),
                    Some((start, Some(len))) => write!(f, ", bytes {start}..{}", start + len),
                }?;
                f.write_str(streamed(*as_stream))
            }
            Self::GetNow { at, name } => write!(f, "get_now {at} {name}"),
            Self::GetEntry { at, streamed: as_stream } => write!(f, "get_entry {at}{}", streamed(*as_stream)),
            Self::Contains { at } => write!(f, "contains {at}"),
            Self::Meta { at } => write!(f, "meta {at}"),
            Self::Evict { at } => write!(f, "evict {at}"),
            Self::List { scope, recursive, prefix, after, limit } => {
                write!(f, "list {scope:?}")?;
                if *recursive {
                    f.write_str(" and below")?;
                }
                prefix.map_or(Ok(()), |prefix| write!(f, ", prefix {prefix}"))?;
                after.map_or(Ok(()), |after| write!(f, ", after {after}"))?;
                limit.map_or(Ok(()), |limit| write!(f, ", at most {limit}"))
            }
            Self::Usage { scope } => write!(f, "usage {scope:?}"),
            Self::Clean { scope, hours, bytes } => {
                write!(f, "clean {scope:?}")?;
                hours.map_or(Ok(()), |hours| write!(f, ", up to {hours} hours and a half"))?;
                bytes.map_or(Ok(()), |bytes| write!(f, ", up to {bytes} bytes"))
            }
            Self::Flush => f.write_str("flush"),
            Self::Reopen => f.write_str("flush, close and open again"),
        }
    }
}
