//! Keeps artifacts in a bucket, with memory in front of it.
//!
//! Give it the URL of a bucket, or of a server that speaks S3; credentials are those of the environment:
//!
//! ```sh
//! cargo run -p cache --features s3 --example s3 -- 's3://build-cache/example?region=eu-central-1'
//! AWS_ACCESS_KEY_ID=minio AWS_SECRET_ACCESS_KEY=minio-secret cargo run -p cache --features s3 --example s3 -- \
//!     's3://build-cache/example?endpoint=http://127.0.0.1:9000&allow_http=true&auto_create=true'
//! ```

use cache::{Digest, Result};

const USAGE: &str = "Give the URL of a bucket, such as
  's3://build-cache/example?region=eu-central-1'
  's3://build-cache/example?endpoint=http://127.0.0.1:9000&allow_http=true&auto_create=true'
Credentials are those of the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, a role.";

#[tokio::main]
async fn main() -> Result<()> {
    let Some(url) = std::env::args().nth(1) else {
        println!("{USAGE}");
        return Ok(());
    };
    // A bucket that is missing, or may not be used, is an error here and never a miss later on.
    let cache = cache::open_tiers(["memory:?max_size=64MB", url.as_str()]).await?.namespace("example")?;

    let digest = Digest::of("cc -O2 main.c");
    let outcome = cache.put(digest, "object code").await?;
    for (tier, status) in &outcome.tiers {
        println!("{tier}: {status:?}");
    }
    // From memory. Whoever else opens the bucket finds it there, too.
    println!("{:?}", cache.get(digest).await?);

    let usage = cache.usage().await?;
    println!("{} entries in {}", usage.entries, cache.info().location);
    cache.evict(digest).await?;
    cache.close(None).await?;
    Ok(())
}
