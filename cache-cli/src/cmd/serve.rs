use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use cache::{ByteSize, Cache};
use cache_http::{HttpOptions, Token};
use serde_json::json;
use tokio::{
    net::{TcpListener, lookup_host},
    time::{MissedTickBehavior, interval},
};

use crate::{Outcome, args::Shared, environment, failure::Failure, output, signals, stores};

/// How long requests that are under way may take after the signal to end.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// No token is longer than this.
const TOKEN_BYTES: u64 = 4 << 10;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen. An address that others can reach needs a token; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9470")]
    listen: String,
    /// How often what was put is made durable.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval_of)]
    flush_interval: Duration,
    /// The file that holds the token that clients must present; else CACHE_TOKEN counts.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Refuses bodies that are larger.
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    max_body: Option<ByteSize>,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("serve")?;
    log_to_stderr();
    allow_more_files();
    let addresses = addresses(&args.listen).await?;
    let mut options = HttpOptions::default();
    match token(args.token_file)? {
        Some(token) => options = options.with_token(token),
        None if addresses.iter().all(|address| address.ip().is_loopback()) => {}
        None => {
            return Err(Failure::because(format!(
                "{} can be reached by others: set CACHE_TOKEN or give --token-file",
                args.listen
            )));
        }
    }
    if let Some(max) = args.max_body {
        options = options.with_max_body_bytes(max.bytes());
    }
    // Registered before anyone is told the address, so that no signal after that is lost.
    let ended = signals::ended().map_err(|error| Failure::io("cannot wait for signals", &error))?;
    let cannot_listen = |error| Failure::io(format!("cannot listen on {}", args.listen), &error);
    let listener = TcpListener::bind(addresses.as_slice()).await.map_err(cannot_listen)?;
    let url = format!("http://{}", listener.local_addr().map_err(cannot_listen)?);

    let cache = stores::open(shared).await?;
    let serve = cache_http::serve(listener, cache_http::router_with(cache.clone(), options))
        .shutdown_on(ended)
        .flush(cache.clone())
        .drain_within(DRAIN_WITHIN);
    match output::answer(shared.json, format!("listening on {url}"), || json!({ "listening": url })).await {
        // Who closed our standard output still wants the server.
        Ok(()) | Err(Failure::ClosedPipe) => {}
        Err(failure) => return Err(failure),
    }
    let served = tokio::select! {
        served = serve.into_future() => served,
        never = flush_every(args.flush_interval, &cache) => match never {},
    };
    let closed = stores::close(&cache).await;
    served.map_err(|error| Failure::because(chain(&error)))?;
    closed.map(|()| Outcome::Done)
}

/// What goes wrong while serving is told on standard error, a line each.
fn log_to_stderr() {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(io::stderr);
    // Only the first one counts, and there is only this one.
    _ = log.with_ansi(false).with_target(false).try_init();
}

/// Connections and uploads hold files open: as many are allowed as the system lets this process have.
fn allow_more_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Less will do, too.
    _ = setrlimit(Resource::Nofile, limit);
}

/// Makes durable what was put or removed, at most once in `every`. A failure is told and tried again.
async fn flush_every(every: Duration, cache: &Cache) -> std::convert::Infallible {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flushed = 0;
    loop {
        ticks.tick().await;
        let metrics = cache.metrics();
        let changes = metrics.puts.saturating_add(metrics.removals);
        if changes == flushed {
            continue;
        }
        match cache.flush().await {
            Ok(_) => flushed = changes,
            Err(error) => Failure::from(error).tell(),
        }
    }
}

async fn addresses(listen: &str) -> Result<Vec<SocketAddr>, Failure> {
    let found: Vec<SocketAddr> = lookup_host(listen)
        .await
        .map_err(|error| Failure::io(format!("{listen:?} is no address to listen on"), &error))?
        .collect();
    if found.is_empty() {
        return Err(Failure::because(format!("{listen:?} is no address to listen on")));
    }
    Ok(found)
}

/// The token, from the file or the environment: what stands on the command line, others can see.
fn token(file: Option<PathBuf>) -> Result<Option<Token>, Failure> {
    let text = match file {
        Some(path) => {
            let failed = |error: io::Error| Failure::io(format!("cannot read {}", path.display()), &error);
            let mut text = String::new();
            let file = std::fs::File::open(&path).map_err(failed)?;
            let read = io::Read::read_to_string(&mut io::Read::take(file, TOKEN_BYTES + 1), &mut text);
            if read.map_err(failed)? as u64 > TOKEN_BYTES {
                return Err(Failure::because(format!("{} is too long for a token", path.display())));
            }
            Some(text)
        }
        None => environment::token()?,
    };
    match text.as_deref().map(str::trim) {
        Some("") => Err(Failure::because("the token is empty")),
        Some(text) => Ok(Some(Token::new(text)?)),
        None => Ok(None),
    }
}

fn interval_of(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("an interval is longer than nothing".to_owned()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

/// The error and its causes.
fn chain(error: &io::Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
