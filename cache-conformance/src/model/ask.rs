use std::collections::BTreeMap;

use bytes::Bytes;
use cache_core::{
    Blob, EntryMeta, ErrorKind, Key, ListOptions, Namespace, Result, Store, Usage, slice_range,
};
use futures::TryStreamExt;

use super::{
    Entry, Model, counted, modified, size,
    step::{Place, Step, get_options},
};
use crate::sample;

/// What a store has answered to an operation that changes nothing.
#[derive(Debug)]
pub(super) enum Answer {
    Get(Result<Option<(u64, Bytes)>>),
    GetNow(Option<Bytes>),
    Entry(Option<(EntryMeta, BTreeMap<String, Bytes>)>),
    Contains(bool),
    Meta(Option<EntryMeta>),
    List(Vec<EntryMeta>),
    /// And whether it counts the bytes of blobs.
    Usage(Usage, bool),
}

/// No blob of a sequence is larger than this.
const CAP: u64 = 1 << 20;

/// Asks a store; `None` if the step is no question.
pub(super) async fn ask(store: &dyn Store, place: &Place, step: &Step) -> Result<Option<Answer>> {
    Ok(Some(match step {
        Step::Get { at, name, range, streamed } => {
            let options = get_options(*range, *streamed);
            match store.get(&place.key(*at), &sample::name(name), options).await {
                Err(error) if error.kind() == ErrorKind::Invalid => Answer::Get(Err(error)),
                read => Answer::Get(Ok(match read? {
                    Some(blob) => Some((blob.total_len(), whole(blob).await?)),
                    None => None,
                })),
            }
        }
        Step::GetNow { at, name } => {
            Answer::GetNow(store.get_now(place.key(*at).view(), &sample::name(name)))
        }
        Step::GetEntry { at, streamed } => {
            let read = store.get_entry(&place.key(*at), get_options(None, *streamed)).await?;
            let Some(read) = read else { return Ok(Some(Answer::Entry(None))) };
            let mut blobs = BTreeMap::new();
            for (name, blob) in read.blobs {
                blobs.insert(name.as_str().to_owned(), whole(blob).await?);
            }
            Answer::Entry(Some((read.meta, blobs)))
        }
        Step::Contains { at } => Answer::Contains(store.contains(&place.key(*at)).await?),
        Step::Meta { at } => Answer::Meta(store.meta(&place.key(*at)).await?),
        Step::List { scope, recursive, prefix, after, limit } => {
            let options = Step::listing(place, scope, *recursive, *prefix, *after, *limit);
            Answer::List(store.list(options).try_collect().await?)
        }
        Step::Usage { scope } => {
            let scope = place.namespace(scope);
            let first = store.list(ListOptions::below(&scope).with_limit(1)).try_next().await?;
            let counts_blobs = first.is_none_or(|entry| entry.bytes.is_some());
            Answer::Usage(store.usage(&scope).await?, counts_blobs)
        }
        Step::Put { .. } | Step::Evict { .. } | Step::Clean { .. } | Step::Flush | Step::Reopen => {
            return Ok(None);
        }
    }))
}

/// The bytes of a read, which are as many as it says.
async fn whole(blob: Blob) -> Result<Bytes> {
    let len = blob.len();
    let bytes = blob.collect(CAP).await?;
    if bytes.len() as u64 != len {
        return Err(cache_core::Error::invalid(format!("{len} bytes were told, {} came", bytes.len())));
    }
    Ok(bytes)
}

/// Whether an answer is right. What it shows of the states is kept.
pub(super) fn judge(model: &mut Model, place: &Place, step: &Step, answer: Answer) -> Result<(), String> {
    match (step, answer) {
        (Step::Get { at, name, range, .. }, Answer::Get(read)) => {
            let told = match &read {
                Ok(None) => "nothing".to_owned(),
                Ok(Some((total, bytes))) => format!("{} of {total}", counted(bytes.len())),
                Err(error) => error.to_line(),
            };
            let read = read.map_err(|error| error.kind());
            model.observe(&place.key(*at), &format!("The answer is {told}."), |state| {
                let Some(blob) = state.and_then(|entry| entry.get(*name)) else { return read == Ok(None) };
                let right = slice_range(&blob.bytes, get_options(*range, false).range);
                let right = right.map(|bytes| Some((blob.bytes.len() as u64, bytes)));
                read == right.map_err(|error| error.kind())
            })
        }
        (Step::GetNow { .. }, Answer::GetNow(None)) => Ok(()),
        (Step::GetNow { at, name }, Answer::GetNow(Some(bytes))) => {
            let told = format!("The answer is {}.", counted(bytes.len()));
            model.observe(&place.key(*at), &told, |state| {
                state.and_then(|entry| entry.get(*name)).is_some_and(|blob| blob.bytes == bytes)
            })
        }
        (Step::GetEntry { at, .. }, Answer::Entry(read)) => {
            let told = read.as_ref().map_or("nothing".to_owned(), |(_, blobs)| {
                let blobs = blobs.iter().map(|(name, bytes)| format!("{name}: {}", counted(bytes.len())));
                format!("{{{}}}", blobs.collect::<Vec<_>>().join(", "))
            });
            let later = model.may_be_told_later();
            model.observe(&place.key(*at), &format!("The answer is {told}."), |state| match (state, &read) {
                (None, None) => true,
                (Some(entry), Some((meta, blobs))) => {
                    // Of a copy in a faster tier, this may be when it was made as a whole.
                    describes(meta, entry, false, later)
                        && blobs.len() == entry.len()
                        && blobs
                            .iter()
                            .all(|(name, bytes)| entry.get(name).is_some_and(|blob| blob.bytes == bytes))
                }
                _ => false,
            })
        }
        (Step::Contains { at }, Answer::Contains(there)) => {
            model.observe(&place.key(*at), &format!("The answer is {there}."), |state| {
                state.is_some() == there
            })
        }
        (Step::Meta { at }, Answer::Meta(meta)) => observe_meta(model, &place.key(*at), meta.as_ref()),
        (Step::List { scope, recursive, prefix, after, limit }, Answer::List(listed)) => {
            let options = Step::listing(place, scope, *recursive, *prefix, *after, *limit);
            judge_listing(model, &options, &listed)
        }
        (Step::Usage { scope }, Answer::Usage(usage, counts_blobs)) => {
            judge_usage(model, &place.namespace(scope), &usage, counts_blobs)
        }
        (_, answer) => Err(format!("no answer to that: {answer:?}")),
    }
}

fn observe_meta(model: &mut Model, key: &Key, meta: Option<&EntryMeta>) -> Result<(), String> {
    let told = meta.map_or("nothing".to_owned(), |meta| format!("{meta:?}"));
    let (copies, later) = (model.budget().is_some(), model.may_be_told_later());
    model.observe(key, &format!("The answer is {told}."), |state| match (state, meta) {
        (None, None) => true,
        (Some(entry), Some(meta)) => {
            meta.key == *key && !meta.places.is_empty() && describes(meta, entry, !copies, later)
        }
        _ => false,
    })
}

/// Whether names, sizes and times are those of the entry, as far as they are told and known; that of the
/// oldest blob only if asked for, and that of the newest one exactly or at least.
fn describes(meta: &EntryMeta, entry: &Entry, since: bool, later: bool) -> bool {
    tells_blobs(meta, entry, since) && tells_newest(meta, entry, later)
}

fn tells_newest(meta: &EntryMeta, entry: &Entry, later: bool) -> bool {
    let is_it = |newest| meta.modified == Some(newest) || later && meta.modified > Some(newest);
    modified(entry).is_none_or(is_it)
}

/// The same without the time of the newest blob.
fn tells_blobs(meta: &EntryMeta, entry: &Entry, since: bool) -> bool {
    let names = meta.blobs.iter().map(|blob| (blob.name.as_str(), blob.bytes));
    let oldest = entry.values().filter_map(|blob| blob.created).min();
    names.eq(entry.iter().map(|(name, blob)| (name.as_str(), blob.bytes.len() as u64)))
        && meta.bytes == Some(size(entry))
        && oldest.is_none_or(|oldest| !since || meta.created == Some(oldest))
}

fn judge_listing(model: &mut Model, options: &ListOptions, listed: &[EntryMeta]) -> Result<(), String> {
    let limit = options.limit.unwrap_or(usize::MAX);
    let admitted = model.admitted(options);
    let keys: Vec<_> = listed.iter().map(|entry| &entry.key).collect();
    let ascending = keys.windows(2).all(|pair| pair.first() < pair.last());
    let strange = keys.iter().any(|key| !admitted.iter().any(|(admitted, _)| admitted == *key));
    // What has to be there is listed, up to where a full listing ends.
    let end = keys.last().filter(|_| keys.len() >= limit);
    let due =
        admitted.iter().filter(|(key, certain)| *certain && limit > 0 && end.is_none_or(|end| key <= *end));
    let missing = due.into_iter().any(|(key, _)| !keys.contains(&key));
    if !ascending || strange || missing || keys.len() > limit {
        let print = |keys: &mut dyn Iterator<Item = &Key>| {
            keys.map(|key| format!("  {}/{:.5}", key.namespace, key.digest.to_string()))
                .collect::<Vec<_>>()
                .join("\n")
        };
        return Err(format!(
            "The listing is\n{}\nout of, in this order,\n{}",
            print(&mut keys.into_iter()),
            print(&mut admitted.iter().map(|(key, _)| key))
        ));
    }
    let (copies, dated, later) = (model.budget().is_some(), model.is_dated(), model.may_be_told_later());
    for entry in listed.iter().filter(|entry| entry.bytes.is_some()) {
        model.observe(&entry.key, &format!("The listing has {entry:?}."), |state| {
            state.is_some_and(|state| {
                tells_blobs(entry, state, !copies) && (!dated || tells_newest(entry, state, later))
            })
        })?;
    }
    Ok(())
}

fn judge_usage(model: &Model, scope: &Namespace, usage: &Usage, counts_blobs: bool) -> Result<(), String> {
    let (mut least, mut most) = (Usage::default(), Usage::default());
    for (key, certain) in model.admitted(&ListOptions::below(scope)) {
        let states = model.states(&key);
        let sizes = || states.iter().flatten().map(size);
        most.add(sizes().max().unwrap_or(0), 0);
        if certain {
            least.add(sizes().min().unwrap_or(0), 0);
        }
    }
    let entries = (least.entries..=most.entries).contains(&usage.entries);
    if entries && (!counts_blobs || (least.bytes..=most.bytes).contains(&usage.bytes)) {
        return Ok(());
    }
    Err(format!(
        "The answer is {usage}. Right is {least}{}.",
        match model.budget() {
            None => String::new(),
            Some(_) => format!(", up to {most}"),
        }
    ))
}
