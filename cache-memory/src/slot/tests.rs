use super::*;

fn name(text: &str) -> BlobName {
    BlobName::new(text).unwrap()
}

fn blobs(names: &[&str]) -> Blobs {
    let mut blobs = Blobs::default();
    for text in names {
        let bytes = Bytes::from(text.as_bytes().to_vec());
        blobs.insert(name(text), Held { bytes, created: SystemTime::UNIX_EPOCH });
    }
    blobs
}

fn names(blobs: &Blobs) -> Vec<String> {
    blobs.iter().map(|(name, _)| name.as_str().to_owned()).collect()
}

#[test]
fn an_entry_takes_two_cache_lines() {
    assert_eq!(size_of::<Option<Slot>>(), 128);
}

#[test]
fn blobs_stand_in_the_order_of_their_names() {
    assert_eq!(names(&blobs(&["stdout", "data", "aside", "zz"])), ["aside", "data", "stdout", "zz"]);
    assert_eq!(names(&blobs(&["stdout", "aside"])), ["aside", "stdout"]);
    assert_eq!(names(&blobs(&["data"])), ["data"]);
}

#[test]
fn a_name_that_is_put_again_takes_the_place_of_the_older_one() {
    let mut blobs = blobs(&["data", "stdout"]);
    for text in ["data", "stdout"] {
        blobs.insert(name(text), Held { bytes: Bytes::from_static(b"12"), created: SystemTime::UNIX_EPOCH });
    }
    assert_eq!((names(&blobs).len(), blobs.size().bytes), (2, 4));
}

#[test]
fn a_fill_adds_absent_names_and_else_changes_nothing() {
    let there = blobs(&["data"]);
    assert!(there.clone().after(PutMode::Fill, &blobs(&["data"])).is_none());
    let filled = there.after(PutMode::Fill, &blobs(&["data", "stdout"])).unwrap();
    assert_eq!(names(&filled), ["data", "stdout"]);
}
