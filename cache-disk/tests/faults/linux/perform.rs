//! Carries out a step on a store, and judges what it answers.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use cache_core::{
    BlobName, CleanPolicy, EntryRead, Error, ErrorKind, GetOptions, Key, KeyManagement, ListOptions,
    Namespace, PutEntry, PutOptions, Store,
};
use cache_disk::DiskStore;
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    model::{Known, Model, Past, State},
    script::{Step, key},
    value::{value, version},
};

/// Larger than any blob of a script.
const CAP: u64 = 1 << 24;

/// What a step answered.
pub(crate) enum Answer {
    Nothing,
    Refused,
    /// A blob's version, if it is there.
    Blob(&'static str, Option<u64>),
    Entry(State),
    /// The names of an entry's blobs.
    Names(Option<Vec<String>>),
    IsThere(bool),
    /// Which of the keys are listed.
    Keys(Vec<u32>),
    /// Bytes that nobody put, or things that cannot be.
    Wrong(String),
}

pub(crate) fn entry(key: u32, version: u64, blobs: &[(&'static str, usize)], streamed: bool) -> PutEntry {
    let mut entry = PutEntry::default();
    for (name, len) in blobs {
        let bytes = Bytes::from(value(key, name, version, *len));
        let name = BlobName::new(name).unwrap();
        if streamed {
            let pieces: Vec<_> =
                bytes.chunks(60_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            entry = entry.with_stream(name, None, stream::iter(pieces).boxed());
        } else {
            entry = entry.with(name, bytes);
        }
    }
    entry
}

/// Carries out step number `number` of a script, which is also the version of what it puts.
pub(crate) async fn perform(
    store: &DiskStore,
    number: u64,
    step: &Step,
    known: &Model,
) -> Result<Answer, Error> {
    match step {
        Step::Open | Step::Damage(_) => Ok(Answer::Nothing),
        Step::Put { key: of, mode, blobs, streamed } => {
            let entry = entry(*of, number, blobs, *streamed);
            let outcome = store.put(&key(*of), entry, PutOptions::mode(*mode)).await?;
            Ok(if outcome.is_stored() { Answer::Nothing } else { Answer::Refused })
        }
        Step::Evict(of) => store.evict(&key(*of)).await.map(|()| Answer::Nothing),
        Step::Get { key: of, blob, streamed } => {
            let mut options = GetOptions::default();
            if *streamed {
                options = options.with_stream_above(0);
            }
            let name = BlobName::new(blob).unwrap();
            let bytes = match store.get_now(key(*of).view(), &name) {
                Some(bytes) if !*streamed => Some(bytes),
                _ => match store.get(&key(*of), &name, options).await? {
                    Some(found) => Some(found.collect(CAP).await?),
                    None => None,
                },
            };
            Ok(match bytes.map(|bytes| version(*of, blob, &bytes)) {
                None => Answer::Blob(blob, None),
                Some(Some(version)) => Answer::Blob(blob, Some(version)),
                Some(None) => Answer::Wrong(format!("other bytes of {blob:?} of key {of}")),
            })
        }
        Step::GetEntry(of) => {
            let Some(found) = store.get_entry(&key(*of), GetOptions::default()).await? else {
                return Ok(Answer::Entry(None));
            };
            Ok(match state(*of, found).await? {
                Ok(state) => Answer::Entry(Some(state)),
                Err(wrong) => Answer::Wrong(wrong),
            })
        }
        Step::Contains(of) => store.contains(&key(*of)).await.map(Answer::IsThere),
        Step::Meta(of) => {
            let meta = store.meta(&key(*of)).await?;
            let names =
                |meta: cache_core::EntryMeta| meta.blobs.iter().map(|blob| blob.name.to_string()).collect();
            Ok(Answer::Names(meta.map(names)))
        }
        Step::List => {
            let listed: Vec<_> = store.list(ListOptions::below(&Namespace::root())).try_collect().await?;
            let listed: Vec<Key> = listed.into_iter().map(|meta| meta.key).collect();
            Ok(numbers(&listed, known))
        }
        Step::Usage => store.usage(&Namespace::root()).await.map(|_| Answer::Nothing),
        Step::CleanScratch => {
            let policy = CleanPolicy::default().with_max_bytes(0);
            store.clean(&super::script::scratch(), &policy).await.map(|_| Answer::Nothing)
        }
        Step::CleanTo(bytes) => {
            let policy = CleanPolicy::default().with_max_bytes(*bytes);
            store.clean(&Namespace::root(), &policy).await.map(|_| Answer::Nothing)
        }
        Step::Flush => store.flush().await.map(|_| Answer::Nothing),
    }
}

fn numbers(listed: &[Key], known: &Model) -> Answer {
    let mut numbers = Vec::new();
    let names: BTreeMap<Key, u32> = known.keys().into_iter().map(|number| (key(number), number)).collect();
    for key in listed {
        match names.get(key) {
            Some(number) => numbers.push(*number),
            None => return Answer::Wrong(format!("{key} is listed, which nobody put")),
        }
    }
    Answer::Keys(numbers)
}

/// The versions of an entry's blobs; or what is wrong with them.
pub(crate) async fn state(of: u32, found: EntryRead) -> Result<Result<BTreeMap<String, u64>, String>, Error> {
    let mut versions = BTreeMap::new();
    for (name, blob) in found.blobs {
        let bytes = blob.collect(CAP).await?;
        match version(of, name.as_str(), &bytes) {
            Some(version) => versions.insert(name.to_string(), version),
            None => return Ok(Err(format!("other bytes of {name} of key {of}"))),
        };
    }
    Ok(Ok(versions))
}

/// Whether the answer is one that the model allows; if so, the model remembers it.
pub(crate) fn judge(model: &mut Model, step: &Step, answer: &Answer) -> Result<(), String> {
    let mut read = |of: u32, found: &dyn Fn(&State) -> bool, what: String| {
        if model.allows(of, Past::Kill, found) {
            model.saw(of, found);
            return Ok(());
        }
        Err(format!("{step:?}: {what}, which is none of what may be there"))
    };
    match (step, answer) {
        (_, Answer::Wrong(what)) => Err(what.clone()),
        (Step::Get { key, .. }, Answer::Blob(blob, version)) => {
            let found =
                |state: &State| state.as_ref().and_then(|entry| entry.get(*blob)).copied() == *version;
            read(*key, &found, format!("version {version:?}"))
        }
        (Step::GetEntry(key), Answer::Entry(entry)) => {
            read(*key, &|state| state == entry, format!("versions {entry:?}"))
        }
        (Step::Contains(key), Answer::IsThere(there)) => {
            read(*key, &|state| state.is_some() == *there, format!("there: {there}"))
        }
        (Step::Meta(key), Answer::Names(names)) => {
            let found = |state: &State| {
                state.as_ref().map(|entry| entry.keys().cloned().collect::<Vec<_>>()) == *names
            };
            read(*key, &found, format!("blobs {names:?}"))
        }
        (Step::List, Answer::Keys(listed)) => {
            for of in model.keys() {
                let there = listed.contains(&of);
                let found = |state: &State| state.is_some() == there;
                if !model.is_damaged(of, Past::Kill) && !model.allows(of, Past::Kill, found) {
                    return Err(format!("key {of} is listed: {there}"));
                }
            }
            Ok(())
        }
        (_, Answer::Refused) if !matches!(step, Step::Put { .. }) => Err(format!("{step:?} was refused")),
        _ => Ok(()),
    }
}

/// What a step did, as far as its answer tells.
pub(crate) fn known(answer: &Answer) -> Known {
    if matches!(answer, Answer::Refused) { Known::Refused } else { Known::Done }
}

/// Whether an error is one that a failing system call may lead to: it blames nobody above, and calls
/// nothing damaged that is not.
pub(crate) fn blames_what_is_below(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::NoSpace | ErrorKind::Timeout
    )
}

/// Changes a byte in the middle of a blob's file.
pub(crate) fn damage(dir: &Path, of: u32) {
    let digits = key(of).digest.to_string();
    let file = dir.join(&digits[..2]).join(&digits).join(BlobName::DATA.encoded());
    // Not there if the put before was made to fail.
    let Ok(mut bytes) = fs::read(&file) else { return };
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&file, bytes).unwrap();
}
