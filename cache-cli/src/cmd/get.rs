use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use cache::{Blob, BlobName, ErrorKind, GetOptions, KeyRef};
use futures::TryStreamExt;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::{Outcome, args::Shared, failure::Failure, output::Output, progress, stores::with_cache};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The artifact's digest, or its first 4 digits or more.
    #[arg(value_name = "DIGEST")]
    digest: KeyRef,
    /// Writes to this file, which appears whole or not at all, instead of to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_json("get")?;
    with_cache(shared, async |cache| {
        let name = shared.blob.clone().unwrap_or(BlobName::DATA);
        match (cache.get_with(args.digest, &name, GetOptions::default()).await?, &args.output) {
            (None, _) => Ok(Outcome::Miss),
            (Some(blob), Some(path)) if path != Path::new("-") => to_path(blob, path).await,
            (Some(blob), _) => to_stdout(blob).await,
        }
    })
    .await
}

/// Damage that is found before anything was written is a miss; later it has to be an error.
async fn to_stdout(blob: Blob) -> Result<Outcome, Failure> {
    let mut output = Output::stdout();
    let bar = progress::bar("reading", blob.len());
    let (mut pieces, mut written) = (blob.into_stream(), false);
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => {
                output.bytes(&piece).await?;
                written |= !piece.is_empty();
                bar.inc(piece.len() as u64);
            }
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::Corrupt && !written => return Ok(Outcome::Miss),
            Err(error) => return Err(error.into()),
        }
    }
    output.finish().await?;
    bar.finish_and_clear();
    Ok(Outcome::Done)
}

async fn to_path(blob: Blob, path: &Path) -> Result<Outcome, Failure> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(Failure::because(format!("{} is a directory", path.display()))),
        // A pipe or a device takes the bytes; it is not replaced by a file.
        Ok(found) if !found.is_file() => to_device(blob, path).await,
        _ => to_file(blob, path).await,
    }
}

/// Writes beside the file and renames, so that the old file stays until the new one is whole.
async fn to_file(blob: Blob, path: &Path) -> Result<Outcome, Failure> {
    let failed = |error: io::Error| Failure::io(format!("cannot write {}", path.display()), &error);
    // What a link points to is replaced, not the link.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(_) if fs::symlink_metadata(path).is_ok() => {
            return Err(Failure::because(format!("{} is a link that leads nowhere", path.display())));
        }
        Err(_) => path.to_owned(),
    };
    let old = fs::metadata(&target).ok().map(|old| old.permissions());
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let beside = tempfile::Builder::new()
        .prefix(".cache-get-")
        .permissions(Permissions::from_mode(0o666)) // less the umask
        .tempfile_in(directory)
        .map_err(failed)?;
    if !write(blob, beside.reopen().map_err(failed)?, path).await? {
        return Ok(Outcome::Miss);
    }
    if let Some(old) = old {
        beside.as_file().set_permissions(old).map_err(failed)?;
    }
    // On disk before it takes the old file's place: a power cut leaves the one or the other.
    beside.as_file().sync_all().map_err(failed)?;
    NamedTempFile::persist(beside, &target).map_err(|error| failed(error.error))?;
    Ok(Outcome::Done)
}

async fn to_device(blob: Blob, path: &Path) -> Result<Outcome, Failure> {
    let device = fs::File::options()
        .write(true)
        .open(path)
        .map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))?;
    Ok(if write(blob, device, path).await? { Outcome::Done } else { Outcome::Miss })
}

/// Writes everything; `false` if the blob turns out to be damaged.
async fn write(blob: Blob, file: fs::File, path: &Path) -> Result<bool, Failure> {
    let failed = |error: io::Error| Failure::io(format!("cannot write {}", path.display()), &error);
    let bar = progress::bar("writing", blob.len());
    let mut file = tokio::fs::File::from_std(file);
    let mut pieces = blob.into_stream();
    loop {
        match pieces.try_next().await {
            Ok(Some(piece)) => {
                file.write_all(&piece).await.map_err(failed)?;
                bar.inc(piece.len() as u64);
            }
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    file.flush().await.map_err(failed)?;
    bar.finish_and_clear();
    Ok(true)
}
