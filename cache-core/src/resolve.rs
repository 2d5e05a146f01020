//! Short digests: the one place that expands and shrinks them.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt};

use crate::{
    Ambiguity, Digest, DigestPrefix, Error, ErrorKind, Key, KeyRef, ListOptions, Namespace, Result, Store,
};

/// Up to so many keys are shrunk by searches of their own; more are worth one listing.
const FEW: usize = 16;

/// The two smallest digests with `prefix`: never more than that is listed.
async fn candidates<S: Store + ?Sized>(
    store: &S,
    namespace: &Namespace,
    prefix: DigestPrefix,
) -> Result<(Option<Digest>, Option<Digest>)> {
    let mut found = store.list(ListOptions::of(namespace).with_prefix(prefix).with_limit(2)).fuse();
    let first = found.try_next().await?.map(|entry| entry.key.digest);
    let second = found.try_next().await?.map(|entry| entry.key.digest);
    Ok((first, second))
}

pub(crate) async fn resolve<S: Store + ?Sized>(
    store: &S,
    namespace: &Namespace,
    digest: KeyRef,
    operation: &'static str,
) -> Result<Option<Key>> {
    let full = |digest| Ok(Some(Key::new(namespace.clone(), digest)));
    let prefix = match digest {
        KeyRef::Digest(digest) => return full(digest),
        KeyRef::Prefix(prefix) => match prefix.as_digest() {
            Some(digest) => return full(digest),
            None => prefix,
        },
    };
    match candidates(store, namespace, prefix).await? {
        (Some(first), Some(second)) => {
            Err(Error::ambiguous(store.info().kind, operation, Ambiguity::new(prefix, first, second)))
        }
        (found, _) => Ok(found.map(|digest| Key::new(namespace.clone(), digest))),
    }
}

pub(crate) async fn expand<S: Store + ?Sized>(
    store: &S,
    namespace: &Namespace,
    digest: KeyRef,
    operation: &'static str,
) -> Result<Digest> {
    match resolve(store, namespace, digest, operation).await? {
        Some(key) => Ok(key.digest),
        None => Err(Error::new(ErrorKind::NotFound, store.info().kind, operation)
            .with_detail(format!("no digest starts with {digest}"))),
    }
}

pub(crate) async fn shrink<S: Store + ?Sized>(store: &S, key: &Key, min: usize) -> Result<DigestPrefix> {
    let (namespace, digest) = (&key.namespace, key.digest);
    match candidates(store, namespace, digest.prefix(min)).await? {
        (Some(only), None) if only == digest => return Ok(digest.prefix(min)),
        (None, _) | (Some(_), None) => return Err(absent(store, key)),
        (Some(_), Some(_)) => {}
    }
    let longest = digest.prefix(Digest::DIGITS - 1);
    match candidates(store, namespace, longest).await? {
        (Some(only), None) if only == digest => {}
        (Some(first), Some(second)) if first == digest || second == digest => {
            let twins = Ambiguity::new(longest, first, second);
            return Err(Error::ambiguous(store.info().kind, "shrink", twins).with_key(key));
        }
        _ if candidates(store, namespace, digest.into()).await?.0.is_none() => {
            return Err(absent(store, key));
        }
        // Three or more share 63 digits, and this one is not among the two smallest.
        (first, _) => {
            let twins = Ambiguity::new(longest, first.unwrap_or(digest), digest);
            return Err(Error::ambiguous(store.info().kind, "shrink", twins).with_key(key));
        }
    }
    // Not unique with `ambiguous` digits, unique with `unique`.
    let (mut ambiguous, mut unique) = (min, Digest::DIGITS - 1);
    while unique - ambiguous > 1 {
        let middle = ambiguous.midpoint(unique);
        match candidates(store, namespace, digest.prefix(middle)).await? {
            (_, Some(_)) => ambiguous = middle,
            (_, None) => unique = middle,
        }
    }
    Ok(digest.prefix(unique))
}

fn absent<S: Store + ?Sized>(store: &S, key: &Key) -> Error {
    Error::new(ErrorKind::NotFound, store.info().kind, "shrink").with_key(key)
}

pub(crate) async fn shrink_all<S: Store + ?Sized>(
    store: &S,
    namespace: &Namespace,
    digests: &[Digest],
    min: usize,
) -> Result<Vec<DigestPrefix>> {
    if digests.is_empty() {
        return Err(
            Error::new(ErrorKind::Invalid, store.info().kind, "shrink").with_detail("no digests are given")
        );
    }
    let key = |digest: Digest| Key::new(namespace.clone(), digest);
    if digests.len() <= FEW {
        let mut shrunk = Vec::with_capacity(digests.len());
        for digest in digests {
            shrunk.push(shrink(store, &key(*digest), min).await?);
        }
        return Ok(shrunk);
    }
    let nearest = nearest_neighbours(store, namespace, digests).await?;
    digests
        .iter()
        .map(|digest| match nearest.get(digest).copied().flatten() {
            None => Err(absent(store, &key(*digest))),
            Some((_, Digest::DIGITS)) => Ok(digest.prefix(min)),
            Some((neighbour, shared)) if shared + 1 == Digest::DIGITS => {
                let (first, second) = (neighbour.min(*digest), neighbour.max(*digest));
                let twins = Ambiguity::new(digest.prefix(shared), first, second);
                Err(Error::ambiguous(store.info().kind, "shrink", twins).with_key(&key(*digest)))
            }
            Some((_, shared)) => Ok(digest.prefix(min.max(shared + 1))),
        })
        .collect()
}

/// For each wanted digest that is there: the neighbour that shares the most digits, and how many.
/// Without any neighbour it is the digest itself and all of its digits.
async fn nearest_neighbours<S: Store + ?Sized>(
    store: &S,
    namespace: &Namespace,
    digests: &[Digest],
) -> Result<HashMap<Digest, Option<(Digest, usize)>>> {
    let mut nearest: HashMap<Digest, Option<(Digest, usize)>> =
        digests.iter().map(|digest| (*digest, None)).collect();
    let mut meet = |digest: Digest, neighbour: Option<Digest>| {
        let Some(slot) = nearest.get_mut(&digest) else { return };
        let Some(neighbour) = neighbour else {
            slot.get_or_insert((digest, Digest::DIGITS));
            return;
        };
        let shared = digest.shared_digits(&neighbour);
        let better = slot.is_none_or(|(known, most)| known == digest || shared > most);
        if better {
            *slot = Some((neighbour, shared));
        }
    };
    let mut listing = store.list(ListOptions::of(namespace));
    let mut before = None;
    while let Some(entry) = listing.next().await {
        let digest = entry?.key.digest;
        meet(digest, before);
        if let Some(before) = before {
            meet(before, Some(digest));
        }
        before = Some(digest);
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests;
