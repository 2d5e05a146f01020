//! What a server can do is tried out with a small object: some ignore what they do not know.

use bytes::Bytes;
use cache_core::{Error, ErrorKind, Result};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
    path::Path,
};

use crate::{client::Client, failure::Failure, object::Layout};

/// What a server was found to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// It refuses puts whose condition does not hold.
    pub(crate) is_conditional: bool,
    /// It answers the last bytes of an object.
    pub(crate) knows_suffixes: bool,
}

const CONTENT: &[u8] = b"written to find out what this server can do; it may be removed";

/// # Errors
///
/// If the server cannot be reached. What it refuses it cannot do.
pub(crate) async fn probe(client: &Client, layout: &Layout) -> Result<Found> {
    let name = format!("{}.probe-{:016x}", layout.prefix(), fastrand::u64(..));
    let path = Path::parse(&name).map_err(|error| Error::invalid(format!("{name:?}: {error}")))?;
    let put = |mode: PutMode| {
        let path = path.clone();
        client.call("open", 0, move |handles| {
            let (path, mode) = (path.clone(), mode.clone());
            async move {
                let options = PutOptions { mode, ..PutOptions::default() };
                let payload = PutPayload::from_static(CONTENT);
                handles.objects.put_opts(&path, payload, options).await.map_err(Failure::from)
            }
        })
    };
    let first = match put(PutMode::Create).await {
        Ok(first) => Some(first),
        // The first is lost and the second meets it, or it was carried out twice.
        Err(failure) if failure.is_precondition() => None,
        Err(failure) => {
            unless_refused(failure)?;
            // It may take puts without conditions, or none at all.
            let knows_suffixes = match put(PutMode::Overwrite).await {
                Ok(_) => {
                    let knows_suffixes = knows_suffixes(client, &path).await?;
                    remove(client, &path).await;
                    knows_suffixes
                }
                Err(failure) => {
                    unless_refused(failure)?;
                    true
                }
            };
            return Ok(Found { is_conditional: false, knows_suffixes });
        }
    };
    let again = refuses(put(PutMode::Create).await)?;
    // Some know objects by their ETag, others by a number.
    let e_tag = Some("\"00000000000000000000000000000000\"".into());
    let other = UpdateVersion { e_tag, version: Some("1".into()) };
    let stale = first.is_some() && refuses(put(PutMode::Update(other)).await)?;
    let knows_suffixes = knows_suffixes(client, &path).await?;
    remove(client, &path).await;
    Ok(Found { is_conditional: again && stale, knows_suffixes })
}

async fn knows_suffixes(client: &Client, path: &Path) -> Result<bool> {
    // More than there is, and less.
    for want in [1 << 20, 10_u64] {
        let got = client.call("open", want, |handles| {
            let path = path.clone();
            async move { last_bytes(&*handles.objects, &path, want).await }
        });
        let expected = CONTENT.len().saturating_sub(usize::try_from(want).unwrap_or(usize::MAX));
        match got.await {
            Ok(got) if CONTENT.get(expected..) == Some(got.as_ref()) => {}
            Ok(_) => return Ok(false),
            // Asking for the length first costs a request and is always right.
            Err(failure) => {
                tracing::debug!(store = "s3", "no suffix ranges: {}", failure.into_error(None).to_line());
                return Ok(false);
            }
        }
    }
    Ok(true)
}

async fn last_bytes(objects: &dyn ObjectStore, path: &Path, want: u64) -> Result<Bytes, Failure> {
    let options = GetOptions { range: Some(GetRange::Suffix(want)), ..GetOptions::default() };
    crate::fetch::collect_up_to(objects.get_opts(path, options).await?, want).await
}

/// Whether a put was refused for its condition.
fn refuses<T>(put: Result<T, Failure>) -> Result<bool> {
    match put {
        Ok(_) => Ok(false),
        Err(failure) if failure.is_precondition() => Ok(true),
        Err(failure) => unless_refused(failure).map(|()| false),
    }
}

/// What a server answers tells what it can do; that it does not answer tells nothing.
fn unless_refused(failure: Failure) -> Result<()> {
    if failure.is_answer() {
        return Ok(());
    }
    Err(failure.at("open").into_error(None))
}

async fn remove(client: &Client, path: &Path) {
    let removed = client.call("open", 0, |handles| {
        let path = path.clone();
        async move { handles.objects.delete(&path).await.map_err(Failure::from) }
    });
    if let Err(failure) = removed.await {
        let error: Error = failure.at("open").into_error(None);
        if error.kind() != ErrorKind::NotFound {
            tracing::debug!(store = "s3", "a probe was left at {path}: {}", error.to_line());
        }
    }
}
