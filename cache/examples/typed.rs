//! Values of a type of your own, computed once for all who ask, found by the digest of their inputs.
//!
//! ```sh
//! cargo run --example typed
//! ```

use cache::{Digest, ErrorKind, Json, KeyBuilder, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Features {
    words: usize,
    longest: String,
}

async fn extract(text: &'static str) -> std::io::Result<Features> {
    println!("extracting from {} bytes", text.len());
    let longest = text.split_whitespace().max_by_key(|word| word.len()).unwrap_or_default();
    Ok(Features { words: text.split_whitespace().count(), longest: longest.to_owned() })
}

#[tokio::main]
async fn main() -> Result<()> {
    let cache = cache::open("memory:?max_size=64MB").await?.namespace("features")?;
    // Change the schema when the type changes: values of another schema are misses.
    let features = cache.typed::<Features, Json>().with_schema(1);

    // The name of a value is the digest of all that it depends on.
    let text = "an artifact is named by a digest";
    let key = KeyBuilder::new("features").named("language", &"en").arg(&text).finish()?;

    // Ten at the same time: the text is looked at once.
    let callers = (0..10).map(|_| features.get_or_compute(key, move || extract(text)));
    for found in futures::future::join_all(callers).await {
        assert_eq!(found?.longest, "artifact");
    }
    println!("{:?}", features.load(key.prefix(8)).await?);

    // What is not there is an error only where it has to be there.
    let absent = Digest::of("something else");
    assert_eq!(features.get(absent).await?, None);
    match features.load(absent).await {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("{error}"),
        other => println!("unexpected: {other:?}"),
    }
    print!("{}", cache.metrics());
    Ok(())
}
