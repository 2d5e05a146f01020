//! Remembers what a function gave for its arguments, also for the next run of the program.
//!
//! Run it twice: the second time nothing is computed.
//!
//! ```sh
//! cargo run --example memoize
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cache::{Call, CallStore, CallTemplate, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Primes {
    below: u32,
    count: usize,
    largest: Option<u32>,
}

/// What takes long.
fn count_primes(below: u32) -> Primes {
    let divides =
        |number: u32| (2..).take_while(move |by| by * by <= number).any(|by| number.is_multiple_of(by));
    let primes: Vec<u32> = (2..below).filter(|number| !divides(*number)).collect();
    Primes { below, count: primes.len(), largest: primes.last().copied() }
}

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::temp_dir().join("cache-example-memoize");
    let cache = cache::open(&format!("disk:{}?max_size=10MB", dir.display())).await?;
    let calls = CallStore::new(cache.namespace("calls")?);

    let below = 200_000_u32;
    // All that the result depends on: the name, the version of the code, the arguments.
    let call = Call::new("count_primes").with_version("1").with_argument("below", &below)?;
    let computed = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&computed);
    let primes: Primes = calls
        .memoize_call(call, move || async move {
            mark.store(true, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(count_primes(below))
        })
        .await?;
    let how = if computed.load(Ordering::Relaxed) { "computed" } else { "hit" };
    println!("{how}: {} primes below {below}, the largest is {:?}", primes.count, primes.largest);

    // Calls are recorded, so one can ask which there were.
    let known = calls.query(&CallTemplate::default().with_name("count_primes")).count().await?;
    println!("{known} recorded in {}", dir.display());
    cache.flush().await?; // from here on it survives a crash
    cache.close(None).await?;
    Ok(())
}
