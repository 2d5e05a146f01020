//! A stack of memory, disk and a bucket under load, while the server of the bucket is paused, killed and started again.

mod document;
mod load;
mod picture;
mod server;
mod watch;

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use cache_core::{BlobName, Cache, Key, Namespace, Store, StoreExt};
use cache_disk::{DiskOptions, DiskStore};
use cache_layered::{BreakerOptions, LayeredStore, RepairOptions, RepairReport, TierOptions, WritePolicy};
use cache_memory::{MemoryOptions, MemoryStore};
use cache_s3::{S3Options, S3Store};
use clap::Parser;
use futures::{
    StreamExt, TryStreamExt,
    future::{Either, select},
    stream,
};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    load::{COLD, HOT, Load, WARM, name, value},
    server::{BUCKET, Server},
    watch::{Phase, Watch},
};
use crate::{failure::Result, subject::buckets::served::CREDENTIALS};

/// How long the stack leaves a sick bucket alone.
const PAUSE: Duration = Duration::from_secs(1);
/// A bucket that has answered again may be too slow for its deadline once more: what waits is tried again for so long.
const FLUSH_WITHIN: Duration = Duration::from_secs(60);

/// Shows what a stack does while its slowest tier is sick.
#[derive(Debug, Parser)]
#[command(name = "degraded")]
pub struct DegradedArgs {
    /// Has a process serve instead of a container.
    #[arg(long)]
    without_docker: bool,
    /// How long each phase lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many tasks read and write.
    #[arg(long, default_value_t = 16)]
    tasks: u64,
    /// How many milliseconds the stack grants the bucket.
    #[arg(long, default_value_t = 250)]
    deadline: u64,
    /// Where the table and the plot go.
    #[arg(long, default_value = "docs/bench")]
    out: PathBuf,
    /// The program that serves, if not this one: one that calls `serve` first of all.
    #[arg(long, hide = true)]
    server_program: Option<PathBuf>,
}

/// What is left to tell when the load has ended.
#[derive(Debug)]
struct Outcome {
    /// How often it took to have all written.
    flushes: u32,
    repaired: RepairReport,
    acknowledged: usize,
    lost: usize,
}

/// Runs all phases, and leaves a table and a plot.
///
/// The server runs in a container that is made from this program, or is a process of its own. Both end with this, also if it
/// fails, or is told to end by a signal.
///
/// # Errors
///
/// If a caller got an error or a wrong value, if a put that was acknowledged is not in the bucket in the end, or if
/// something could not be done at all.
pub fn degraded(args: &DegradedArgs) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let dir = tempfile::tempdir()?;
    let ended = runtime.block_on(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (interrupted, terminated) = (pin!(interrupt.recv()), pin!(terminate.recv()));
        match select(pin!(demonstrate(args, dir.path())), select(interrupted, terminated)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Err("was told to end".into()),
        }
    });
    let begun = Instant::now();
    drop(runtime);
    drop(dir);
    println!("the files of the disk were removed within {:.1} s", begun.elapsed().as_secs_f64());
    ended
}

async fn bucket(server: &Server) -> Result<S3Store> {
    let options = S3Options::new(BUCKET)
        .with_endpoint(format!("http://{}", server.address()))
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_credentials(CREDENTIALS.0, CREDENTIALS.1)
        .with_retries(0);
    Ok(S3Store::open(options).await?)
}

fn stack(disk: DiskStore, bucket: S3Store, deadline: Duration) -> Result<LayeredStore> {
    let memory = MemoryStore::open(MemoryOptions::default().with_max_bytes(4 << 20))?;
    let behind = TierOptions::default()
        .with_write(WritePolicy::Behind)
        .with_deadline(deadline)
        .with_breaker(BreakerOptions::default().with_pause(PAUSE));
    let builder = LayeredStore::builder().tier("memory", Arc::new(memory)).tier("disk", Arc::new(disk));
    Ok(builder.tier("bucket", Arc::new(bucket)).options(behind).build()?)
}

/// Puts what lies in the bucket alone, as another machine would.
async fn fill(cache: &Cache, numbers: impl Iterator<Item = u64>) -> Result<()> {
    let puts = stream::iter(numbers).map(|number| cache.put(name(number), value(number)));
    puts.buffer_unordered(16).try_for_each(|_| async { Ok(()) }).await?;
    Ok(())
}

async fn demonstrate(args: &DegradedArgs, dir: &Path) -> Result<()> {
    let mut server = Server::start(args.without_docker, args.server_program.as_deref())?;
    println!("the bucket is served by {server}");
    let disk = DiskStore::open(DiskOptions::new(dir)).await?;
    let stack = stack(disk, bucket(&server).await?, Duration::from_millis(args.deadline))?;
    let cache = Cache::new(Arc::new(stack.clone()));
    let others = Cache::new(Arc::new(bucket(&server).await?));
    fill(&cache, WARM.chain(HOT)).await?;
    flush(&stack).await?;
    // Each is read once: 16 tasks ask for some 70 a second.
    let cold = args.seconds * args.tasks * 8;
    fill(&others, COLD..COLD + cold * 6).await?;
    let load = Load::begin(&cache, args.tasks);
    let watch = Watch::begin(&cache, load.begun());
    let phase = Duration::from_secs(args.seconds);
    let mut phases = Vec::new();
    phases.push(Phase::of("before", &cache, &load, phase).await);
    server.pause()?;
    phases.push(Phase::of("paused", &cache, &load, phase).await);
    server.resume()?;
    phases.push(Phase::of("unpaused", &cache, &load, phase).await);
    server.kill()?;
    phases.push(Phase::of("killed", &cache, &load, phase).await);
    server.start_again()?;
    // It kept its entries in memory. Those that lay in the bucket alone are there again, as another machine has put them.
    let again = load.next_cold();
    fill(&Cache::new(Arc::new(bucket(&server).await?)), again..COLD + cold * 6).await?;
    phases.push(Phase::of("started again", &cache, &load, phase).await);
    let done = load.end().await;
    let samples = watch.end().await;
    println!("settling");
    let begun = Instant::now();
    let outcome = settle(&stack, &done.acknowledged, &server).await?;
    println!("settled within {:.1} s", begun.elapsed().as_secs_f64());
    cache.close(Some(Duration::from_secs(10))).await?;
    println!("closed");
    let text = document::write(&server, args, &phases, &samples, &done, &outcome);
    println!("{text}");
    std::fs::create_dir_all(&args.out)?;
    std::fs::write(args.out.join("layered-degraded.md"), &text)?;
    std::fs::write(args.out.join("layered-degraded.svg"), picture::draw(&phases, &samples, &done)?)?;
    for error in done.errors.iter().take(5) {
        println!("{error}");
    }
    if done.errors.is_empty() && done.wrong == 0 && outcome.lost == 0 {
        return Ok(());
    }
    Err("callers got errors or wrong values, or something was lost".into())
}

/// How often it took.
async fn flush(stack: &LayeredStore) -> Result<u32> {
    let begun = Instant::now();
    for times in 1.. {
        match stack.flush().await {
            Ok(_) => return Ok(times),
            Err(error) if begun.elapsed() > FLUSH_WITHIN => return Err(error.into()),
            Err(error) => println!("flush: {}", error.to_line()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("no flush succeeded".into())
}

/// Has the bucket get what it lacks, and looks for every acknowledged put there.
async fn settle(stack: &LayeredStore, acknowledged: &[u64], server: &Server) -> Result<Outcome> {
    let first = flush(stack).await?;
    let options = RepairOptions::default().with_verify(false);
    let repaired = stack.repair(&Namespace::root(), &options).await?;
    let flushes = first.max(flush(stack).await?);
    let alone = bucket(server).await?;
    let mut lost = 0;
    for number in acknowledged {
        let key = Key::from(name(*number));
        let read = alone.get_bytes(&key, &BlobName::DATA);
        lost += usize::from(read.await?.is_none_or(|read| read != value(*number)));
    }
    Ok(Outcome { flushes, repaired, acknowledged: acknowledged.len(), lost })
}
