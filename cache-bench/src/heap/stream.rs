use std::{fs, iter};

use bytes::Bytes;
use cache_core::{ByteStream, Cache, Digest};
use clap::ValueEnum;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    failure::Result,
    heap::HeapCounters,
    subject::files::{
        service,
        streams::{PIECE, Streams},
    },
};

/// Which way bytes stream.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Way {
    /// Into the store.
    Put,
    /// Out of the store.
    Get,
}

/// Mebibytes of the heap's peak beyond what was there before the store, and of all that ever was resident.
pub(crate) fn count(
    way: Way,
    bytes: u64,
    counters: &HeapCounters,
    open: impl FnOnce() -> Result<Cache>,
) -> Result<Vec<f64>> {
    let digest = Digest::of(b"stream");
    let before = (counters.allocated)();
    let runtime = service()?;
    let cache = {
        let _entered = runtime.enter();
        open()?
    };
    let stored = cache.clone();
    runtime.block_on(runtime.spawn(async move {
        match way {
            Way::Put => stored.put_stream(digest, bytes, made(bytes)).await,
            Way::Get => {
                let mut stream = stored.get_stream(digest).await?;
                let mut got = 0;
                while let Some(piece) = stream.try_next().await? {
                    got += piece.len() as u64;
                }
                if got == bytes { Ok(()) } else { Err(format!("{got} bytes came of {bytes}").into()) }
            }
        }
    }))??;
    let peak = (counters.peak)().saturating_sub(before);
    runtime.block_on(cache.close(None))?;
    Ok(vec![peak as f64 / f64::from(1 << 20), resident()? / 1024.0])
}

/// So many bytes, each piece in memory of its own.
fn made(bytes: u64) -> ByteStream {
    let pieces = (0..bytes / PIECE as u64).map(|_| Ok(Bytes::from(vec![0x5a; PIECE])));
    let rest = usize::try_from(bytes % PIECE as u64).unwrap_or(0);
    let rest = iter::once(Ok(Bytes::from(vec![0x5a; rest]))).filter(move |_| rest > 0);
    stream::iter(pieces.chain(rest)).boxed()
}

/// The most kibibytes of this process that were ever resident.
pub(super) fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM is told")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
