//! One entry, several named blobs: all that a command left behind, under the digest of what it was run on.
//!
//! ```sh
//! cargo run --example named_blobs
//! ```

use cache::{BlobName, KeyBuilder, PutEntry, PutOptions, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let cache = cache::open("memory:?max_size=64MB").await?.namespace("compile")?;
    let command = KeyBuilder::new("compile")
        .named("arguments", &["cc", "-O2", "-c", "main.c"])
        .bytes("int main(void) { return 0; }")
        .finish()?;

    // Put at once, they become visible at once.
    let entry = PutEntry::default()
        .with(BlobName::new("output")?, "object code")
        .with(BlobName::new("stdout")?, "")
        .with(BlobName::new("exit_code")?, "0");
    cache.put_with(command, entry, PutOptions::default()).await?;

    // One more beside them; the others stay.
    let entry = cache.entry(command);
    entry.put("stderr", "1 warning").await?;

    // One of them, or all of one version.
    assert_eq!(entry.get("exit_code").await?.as_deref(), Some(b"0".as_slice()));
    assert_eq!(entry.get("core_dump").await?, None);
    if let Some(read) = entry.read().await? {
        for (name, blob) in read.blobs {
            println!("{:<10} {} bytes", name.as_str(), blob.len());
        }
    }

    // They live and go together.
    cache.evict(command.prefix(12)).await?;
    assert!(!cache.contains(command).await?);
    Ok(())
}
