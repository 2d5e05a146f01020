use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use cache::{
    BlobName, ByteStream, Cache, Digest, DigestWriter, Error, PutEntry, PutMode, PutOptions, PutOutcome,
    PutStatus, Refusal, StoreInfo, verify_content,
};
use futures::{StreamExt, TryStreamExt};
use indicatif::ProgressBar;
use serde_json::json;
use tokio_util::io::ReaderStream;

use crate::{Outcome, args::Shared, failure::Failure, output, progress, stores::with_cache};

/// How much is read at once.
const PIECE: usize = 256 << 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to store; `-` reads standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

/// Content that lies still in a file, under the name that it had when it was read first.
struct Named {
    file: File,
    digest: Digest,
    len: u64,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    with_cache(shared, async |cache| {
        let named = tokio::task::spawn_blocking(move || read_through(&args.file))
            .await
            .map_err(|error| Failure::io("cannot read", &error.into()))??;
        let (digest, len) = (named.digest, named.len);
        let outcome = store(cache, shared.blob.as_ref(), named).await?;
        if let Some(reason) = refusal(&cache.info(), &outcome) {
            return Err(Failure::because(format!("{digest} was not stored: {reason}")));
        }
        // Done means that a power cut cannot undo it.
        cache.flush().await?;
        output::answer(shared.json, digest.to_string(), || json!({ "digest": digest, "bytes": len })).await?;
        Ok(Outcome::Done)
    })
    .await
}

/// Reads all of the content once, to know its name. What cannot be read twice goes to a temporary
/// file that has no name and so leaves nothing behind.
fn read_through(path: &Path) -> Result<Named, Failure> {
    if path == Path::new("-") {
        return spool(&mut io::stdin().lock(), "standard input");
    }
    let shown = path.display();
    let mut file = File::open(path).map_err(|error| Failure::io(format!("cannot open {shown}"), &error))?;
    let kind = file.metadata().map_err(|error| Failure::io(format!("cannot read {shown}"), &error))?;
    if kind.is_dir() {
        return Err(Failure::because(format!("{shown} is a directory")));
    }
    if !kind.is_file() {
        return spool(&mut file, &shown.to_string());
    }
    let bar = progress::bar("reading", kind.len());
    let (digest, len) = hash(&mut file, &mut io::sink(), &bar)
        .and_then(|found| file.rewind().map(|()| found))
        .map_err(|error| Failure::io(format!("cannot read {shown}"), &error))?;
    bar.finish_and_clear();
    Ok(Named { file, digest, len })
}

fn spool(source: &mut impl Read, shown: &str) -> Result<Named, Failure> {
    let mut file =
        tempfile::tempfile().map_err(|error| Failure::io("cannot make a temporary file", &error))?;
    let (digest, len) = hash(source, &mut file, &ProgressBar::hidden())
        .and_then(|found| file.rewind().map(|()| found))
        .map_err(|error| Failure::io(format!("cannot read {shown} into a temporary file"), &error))?;
    Ok(Named { file, digest, len })
}

/// Copies everything and tells its digest and its length.
fn hash(source: &mut impl Read, copy: &mut impl Write, bar: &ProgressBar) -> io::Result<(Digest, u64)> {
    let (mut writer, mut len) = (DigestWriter::default(), 0);
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match source.read(&mut buffer) {
            Ok(0) => return Ok((writer.finish(), len)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        writer.update(piece);
        copy.write_all(piece)?;
        len += piece.len() as u64;
        bar.inc(piece.len() as u64);
    }
}

/// Streams the content into the store, which publishes nothing unless it still is what its name says.
async fn store(cache: &Cache, blob: Option<&BlobName>, named: Named) -> Result<PutOutcome, Failure> {
    let Named { file, digest, len } = named;
    let bar = progress::bar("storing", len);
    let moving = bar.clone();
    let pieces: ByteStream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE)
        .inspect_ok(move |piece| moving.inc(piece.len() as u64))
        .map_err(|error| Error::from_io("", "read", error))
        .boxed();
    let (name, mode) = match blob {
        Some(name) => (name.clone(), PutMode::Merge),
        None => (BlobName::DATA, PutMode::Replace),
    };
    let entry = PutEntry::default().with_stream(name, Some(len), verify_content(pieces, digest));
    let outcome = cache.put_with(digest, entry, PutOptions::mode(mode)).await;
    bar.finish_and_clear();
    Ok(outcome?)
}

/// Why the content will not be there when this process has ended: the store refused it, or it has
/// tiers that outlive the process and all of those refused it.
fn refusal(info: &StoreInfo, outcome: &PutOutcome) -> Option<Refusal> {
    if let PutStatus::Refused(reason) = outcome.status {
        return Some(reason);
    }
    let lasting = |name: &str| info.tiers.iter().any(|(tier, info)| **tier == *name && info.powers.durable);
    let mut answers = outcome.tiers.iter().filter(|(tier, _)| lasting(tier)).map(|(_, status)| *status);
    match answers.next()? {
        PutStatus::Refused(reason) if answers.all(|status| status != PutStatus::Stored) => Some(reason),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cache::Powers;

    use super::*;

    fn check(memory: PutStatus, disk: PutStatus, expected: Option<Refusal>) {
        let mut lasting = Powers::default();
        lasting.durable = true;
        let tier = |kind: &'static str, powers| (Arc::from(kind), StoreInfo::new(kind, "", powers));
        let info = StoreInfo::new("layered", "", lasting)
            .with_tiers(vec![tier("memory", Powers::default()), tier("disk", lasting)]);
        let mut outcome = PutOutcome::stored();
        outcome.tiers = vec![("memory".into(), memory), ("disk".into(), disk)];
        assert_eq!(refusal(&info, &outcome), expected);
    }

    #[test]
    fn put_that_only_memory_took_counts_as_refused() {
        let refused = PutStatus::Refused(Refusal::OverBudget);
        check(PutStatus::Stored, PutStatus::Stored, None);
        check(refused, PutStatus::Stored, None);
        check(PutStatus::Stored, refused, Some(Refusal::OverBudget));
    }

    #[test]
    fn put_into_memory_alone_is_taken_at_its_word() {
        let info = StoreInfo::new("memory", "", Powers::default());
        assert_eq!(refusal(&info, &PutOutcome::stored()), None);
        let disabled = PutOutcome::refused(Refusal::Disabled);
        assert_eq!(refusal(&info, &disabled), Some(Refusal::Disabled));
    }

    #[test]
    fn content_is_named_by_its_sha_256_and_copied() {
        let content = vec![7; PIECE * 2 + 1];
        let mut copy = Vec::new();
        let (digest, len) = hash(&mut content.as_slice(), &mut copy, &ProgressBar::hidden()).unwrap();
        assert_eq!((digest, len), (Digest::of(&content), content.len() as u64));
        assert_eq!(copy, content);
    }

    #[tokio::test]
    async fn file_that_changes_while_it_is_stored_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let cache = cache::open("memory:?max_size=1MB").await.unwrap();
        for changed in ["other!", "long", "longer and longer"] {
            std::fs::write(&path, "before").unwrap();
            let named = read_through(&path).unwrap();
            assert_eq!(named.digest, Digest::of("before"));
            std::fs::write(&path, changed).unwrap();
            assert!(matches!(store(&cache, None, named).await, Err(Failure::Because(_))));
            assert!(!cache.contains(Digest::of("before")).await.unwrap());
        }
    }
}
