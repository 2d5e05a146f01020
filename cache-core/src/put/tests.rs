use super::*;

fn streamed(len: Option<u64>, pieces: &[&'static str]) -> PutEntry {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
    PutEntry::default().with_stream(BlobName::DATA, len, stream::iter(pieces).boxed())
}

#[test]
fn an_entry_is_refused_beforehand_only_by_what_is_known_of_it() {
    assert_eq!(PutEntry::data("abc").refusal(None), None);
    assert_eq!(PutEntry::data("abc").refusal(Some(3)), None);
    assert_eq!(PutEntry::data("abc").refusal(Some(2)), Some(Refusal::OverBudget));
    assert_eq!(PutEntry::data("").refusal(Some(0)), Some(Refusal::Disabled));
    assert_eq!(streamed(Some(3), &[]).refusal(Some(2)), Some(Refusal::OverBudget));
    assert_eq!(streamed(None, &[]).refusal(Some(2)), None);
    assert_eq!(streamed(None, &[]).refusal(Some(0)), Some(Refusal::Disabled));
}

#[tokio::test]
async fn a_stream_is_held_to_its_promise_and_to_the_limit_and_stays_ended() {
    type Case = (Option<u64>, Option<u64>, Result<&'static str, ErrorKind>);
    let cases: [Case; 6] = [
        (None, None, Ok("abcd")),
        (Some(4), Some(4), Ok("abcd")),
        (Some(3), None, Err(ErrorKind::Invalid)),
        (Some(5), None, Err(ErrorKind::Invalid)),
        (None, Some(3), Err(ErrorKind::TooLarge)),
        (Some(4), Some(3), Err(ErrorKind::TooLarge)),
    ];
    for (promised, limit, expected) in cases {
        let (_, blob) = streamed(promised, &["ab", "cd"]).into_blobs().remove(0);
        let mut stream = blob.into_checked_stream(&BlobName::DATA, limit);
        let pieces: Result<Vec<Bytes>> = stream.by_ref().try_collect().await;
        let found = pieces.map(|pieces| pieces.concat()).map_err(|error| error.kind());
        assert_eq!(found, expected.map(|text| text.as_bytes().to_vec()), "{promised:?} {limit:?}");
        assert!(stream.next().await.is_none());
    }
}

#[tokio::test]
async fn counted_bytes_are_those_that_were_read() {
    let entry = streamed(None, &["ab", "cd"]).with(BlobName::new("b").unwrap(), "efg");
    let (entry, count) = entry.counted();
    assert_eq!(count.load(Ordering::Relaxed), 3, "what is in hand");
    for (name, blob) in entry.into_blobs() {
        collect_capped(blob.into_checked_stream(&name, None), 100).await.unwrap();
    }
    assert_eq!(count.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn collected_blobs_were_checked_and_keep_their_order() {
    let name = || BlobName::new("b").unwrap();
    let entry = streamed(Some(4), &["ab", "", "cd"]).with(name(), "efg");
    let expected = [(BlobName::DATA, Bytes::from("abcd")), (name(), Bytes::from("efg"))];
    assert_eq!(entry.collect(Some(4)).await.unwrap(), expected);
    let refused = [
        (PutEntry::default(), ErrorKind::Invalid),
        (PutEntry::data("a").with(BlobName::DATA, "b"), ErrorKind::Invalid),
        (PutEntry::data("abcde"), ErrorKind::TooLarge),
        (streamed(Some(3), &["ab", "cd"]), ErrorKind::Invalid),
        (streamed(None, &["abc", "de"]), ErrorKind::TooLarge),
    ];
    for (entry, kind) in refused {
        let note = format!("{entry:?}");
        assert_eq!(entry.collect(Some(4)).await.unwrap_err().kind(), kind, "{note}");
    }
}
