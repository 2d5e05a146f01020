//! What a read of a damaged entry may answer.
#![expect(clippy::expect_used, clippy::panic, reason = "a clause fails by panicking")]

use bytes::Bytes;
use cache_core::{Blob, ByteRange, ErrorKind, GetOptions, Key, Metrics, Result};
use futures::StreamExt;

use crate::{
    sample::{Contents, name},
    subject::Subject,
};

/// How an entry is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Streamed,
    Range,
    Entry,
    Now,
}

impl Form {
    pub(crate) const ALL: [Self; 5] = [Self::Whole, Self::Streamed, Self::Range, Self::Entry, Self::Now];

    /// Those that have to find what there is.
    pub(crate) const ASKING: [Self; 4] = [Self::Whole, Self::Streamed, Self::Range, Self::Entry];
}

/// What became of a read; the worst of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    Right,
    Miss,
    Corrupt,
}

/// Reads an entry that was put as `contents` in one form. Anything but right bytes, a miss or `Corrupt`
/// fails; so do wrong bytes at the beginning of a stream that ends in `Corrupt`.
pub(crate) async fn read(store: &Subject, key: &Key, contents: &Contents, form: Form) -> Answer {
    let streamed = GetOptions::default().with_stream_above(0);
    if form == Form::Entry {
        return read_entry(store, key, contents).await;
    }
    let mut worst = Answer::Right;
    for (text, whole) in contents {
        let name = name(text);
        let answer = match form {
            Form::Now => match store.get_now(key.view(), &name) {
                Some(found) => {
                    assert!(found == *whole, "get_now of damaged {key} {text} has wrong bytes");
                    Answer::Right
                }
                None => Answer::Miss,
            },
            Form::Whole | Form::Entry => {
                let found = store.get(key, &name, GetOptions::default()).await;
                judge(key, text, found, whole, whole.len()).await
            }
            Form::Streamed => {
                let found = store.get(key, &name, streamed.clone()).await;
                judge(key, text, found, whole, whole.len()).await
            }
            Form::Range => {
                let (start, end) = (whole.len() / 3, whole.len() - whole.len() / 5);
                let range = ByteRange::new(start as u64, Some(end as u64)).expect("a range");
                let found = store.get(key, &name, streamed.clone().with_range(range)).await;
                judge(key, text, found, &whole.slice(start..end), whole.len()).await
            }
        };
        worst = worst.max(answer);
    }
    worst
}

async fn read_entry(store: &Subject, key: &Key, contents: &Contents) -> Answer {
    let found = match store.get_entry(key, GetOptions::default().with_stream_above(1 << 10)).await {
        Ok(Some(found)) => found,
        Ok(None) => return Answer::Miss,
        Err(error) => return corrupt(key, &error),
    };
    let mut worst = if found.blobs.len() < contents.len() { Answer::Miss } else { Answer::Right };
    for (name, blob) in found.blobs {
        let Some(whole) = contents.get(name.as_str()) else {
            panic!("damaged {key} has a blob {name} that was never put");
        };
        worst = worst.max(judge(key, name.as_str(), Ok(Some(blob)), whole, whole.len()).await);
    }
    worst
}

async fn judge(key: &Key, name: &str, found: Result<Option<Blob>>, expected: &Bytes, total: usize) -> Answer {
    let blob = match found {
        Ok(Some(blob)) => blob,
        Ok(None) => return Answer::Miss,
        Err(error) => return corrupt(key, &error),
    };
    let lengths = (blob.len(), blob.total_len());
    let mut rest = expected.clone();
    let mut pieces = blob.into_stream();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                assert!(rest.starts_with(&piece), "a read of damaged {key} {name} has wrong bytes");
                rest = rest.slice(piece.len()..);
            }
            Err(error) => return corrupt(key, &error),
        }
    }
    assert!(rest.is_empty(), "a read of damaged {key} {name} lacks {} bytes", rest.len());
    assert_eq!(lengths, (expected.len() as u64, total as u64), "the lengths of damaged {key} {name}");
    Answer::Right
}

fn corrupt(key: &Key, error: &cache_core::Error) -> Answer {
    let kind = error.kind();
    assert_eq!(kind, ErrorKind::Corrupt, "a read of damaged {key} fails otherwise: {error}");
    Answer::Corrupt
}

/// How often damage was counted, in the store and below.
pub(crate) fn corrupt_reads(metrics: &Metrics) -> u64 {
    metrics.corrupt + metrics.tiers.iter().map(|(_, tier)| corrupt_reads(tier)).sum::<u64>()
}
