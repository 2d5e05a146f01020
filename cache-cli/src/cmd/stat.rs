use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache::{ByteSize, EntryMeta, KeyRef};
use serde_json::{Value, json};

use crate::{Outcome, args::Shared, failure::Failure, output::Output, stores::with_cache};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry's digest, or its first 4 digits or more.
    #[arg(value_name = "DIGEST")]
    digest: KeyRef,
}

pub(crate) async fn run(args: Args, shared: &Shared) -> Result<Outcome, Failure> {
    shared.without_blob("stat")?;
    with_cache(shared, async |cache| {
        let Some(entry) = cache.meta(args.digest).await? else { return Ok(Outcome::Miss) };
        let mut output = Output::stdout();
        if shared.json {
            output.json(&value(&entry)).await?;
        } else {
            for line in lines(&entry) {
                output.line(line).await?;
            }
        }
        output.finish().await?;
        Ok(Outcome::Done)
    })
    .await
}

fn value(entry: &EntryMeta) -> Value {
    let blobs: Vec<Value> = entry
        .blobs
        .iter()
        .map(|blob| {
            json!({ "name": blob.name.as_str(), "bytes": blob.bytes, "created": blob.created.and_then(rfc3339) })
        })
        .collect();
    let places: Vec<Value> =
        entry.places.iter().map(|place| json!({ "tier": place.tier, "location": place.location })).collect();
    json!({
        "namespace": entry.key.namespace.parts(),
        "digest": entry.key.digest,
        "bytes": entry.bytes,
        "stored_bytes": entry.stored_bytes,
        "created": entry.created.and_then(rfc3339),
        "modified": entry.modified.and_then(rfc3339),
        "last_accessed": entry.last_accessed.and_then(rfc3339),
        "access_count": entry.access_count,
        "blobs": blobs,
        "places": places,
    })
}

fn lines(entry: &EntryMeta) -> Vec<String> {
    let line = |label: &str, text: String| format!("{label:<14} {text}");
    let mut lines = vec![line("digest:", entry.key.digest.to_string())];
    if !entry.key.namespace.is_root() {
        lines.push(line("namespace:", entry.key.namespace.to_string()));
    }
    let size = |bytes: u64| format!("{bytes} bytes ({})", ByteSize::new(bytes));
    lines.extend(entry.bytes.map(|bytes| line("size:", size(bytes))));
    lines.push(line("stored:", size(entry.stored_bytes)));
    for (label, time) in
        [("created:", entry.created), ("modified:", entry.modified), ("last accessed:", entry.last_accessed)]
    {
        lines.extend(time.and_then(rfc3339).map(|time| line(label, time)));
    }
    lines.extend(entry.access_count.map(|count| line("accesses:", count.to_string())));
    for blob in &entry.blobs {
        lines.push(line("blob:", format!("{}  {} bytes", blob.name, blob.bytes)));
    }
    for place in &entry.places {
        lines.push(line("place:", format!("{}  {}", place.tier, place.location).trim_end().to_owned()));
    }
    lines
}

/// The time in UTC, to the second; `None` for one that RFC 3339 cannot write.
fn rfc3339(time: SystemTime) -> Option<String> {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    let writable = time.duration_since(UNIX_EPOCH).is_ok_and(|since| since < YEAR_10000);
    writable.then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_cannot_be_written_are_left_out() {
        let day = Duration::from_secs(86_400);
        assert_eq!(rfc3339(UNIX_EPOCH + day).as_deref(), Some("1970-01-02T00:00:00Z"));
        assert_eq!(rfc3339(UNIX_EPOCH - day), None);
        assert_eq!(
            rfc3339(UNIX_EPOCH + Duration::from_secs(253_402_300_799)).map(|text| text.len()),
            Some(20)
        );
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(253_402_300_800)), None);
    }
}
