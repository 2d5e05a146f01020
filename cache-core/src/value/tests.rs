#![cfg(feature = "json")]

use std::sync::Arc;

use futures::TryStreamExt;
use serde::{Serialize, Serializer, ser::Error as _};

use super::*;
use crate::{ErrorKind, Json, toy::Toy};

fn values() -> ValueStore<Json> {
    ValueStore::new(Cache::new(Arc::new(Toy::default())).namespace("values").unwrap())
}

#[tokio::test]
async fn save_names_a_value_by_itself() {
    let values = values();
    let digest = values.save(&(1, "a")).await.unwrap();
    assert_eq!(digest, Digest::of_serialize(&(1, "a")).unwrap());
    assert_eq!(values.save(&(1, "a")).await.unwrap(), digest);
    assert_ne!(values.save(&(2, "a")).await.unwrap(), digest);
    assert_eq!(values.load::<(u8, String)>(digest).await.unwrap(), (1, "a".to_owned()));
    let listed: Vec<Digest> =
        values.list().unwrap().map_ok(|entry| entry.key.digest).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.is_sorted() && listed.contains(&digest));
}

#[tokio::test]
async fn save_as_replaces_what_is_under_the_digest() {
    let values = values();
    let digest = Digest::of("mine");
    assert_eq!(values.save_as(digest, &"one").await.unwrap(), digest);
    values.save_as(digest, &2).await.unwrap();
    assert_eq!(values.get::<u8>(digest).await.unwrap(), Some(2));
    assert_eq!(values.get::<String>(digest).await.unwrap(), None, "it is a number now");
    let asking = values.clone().report_mismatch();
    assert_eq!(asking.get::<String>(digest).await.unwrap_err().kind(), ErrorKind::Codec);
    assert_eq!(values.with_schema(1).get::<u8>(digest).await.unwrap(), None);
}

#[tokio::test]
async fn short_digests_load_look_and_evict() {
    let values = values();
    let digest = values.save(&[1, 2, 3]).await.unwrap();
    let short = digest.prefix(5);
    assert_eq!(values.load::<Vec<u8>>(short).await.unwrap(), [1, 2, 3]);
    assert!(values.contains(short).await.unwrap());
    values.evict(short).await.unwrap();
    values.evict(short).await.unwrap();
    assert!(!values.contains(digest).await.unwrap());
    let error = values.load::<Vec<u8>>(short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("values"), "{error}");
    assert_eq!(values.load::<u8>(digest.prefix(2)).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert!("nope".parse::<KeyRef>().is_err());
}

#[tokio::test]
async fn short_digest_of_two_values_is_ambiguous() {
    let values = values();
    let digest = Digest::of("one");
    let mut twin = *digest.as_bytes();
    twin[31] ^= 1;
    values.save_as(digest, &1).await.unwrap();
    values.save_as(Digest::from_bytes(twin), &2).await.unwrap();
    assert_eq!(values.load::<u8>(digest.prefix(63)).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    assert_eq!(values.load::<u8>(digest).await.unwrap(), 1);
}

#[tokio::test]
async fn value_that_cannot_be_encoded_is_refused_and_nothing_is_stored() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("not today"))
        }
    }
    let values = values();
    assert_eq!(values.save(&Stubborn).await.unwrap_err().kind(), ErrorKind::Codec);
    assert_eq!(values.save_as(Digest::of("a"), &Stubborn).await.unwrap_err().kind(), ErrorKind::Codec);
    assert!(values.list().unwrap().try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn text_and_slices_are_saved_as_they_are() {
    let values = values();
    let digest = values.save("text").await.unwrap();
    assert_eq!(values.load::<String>(digest).await.unwrap(), "text");
    values.save_as(digest, [1, 2].as_slice()).await.unwrap();
    assert_eq!(values.load::<Vec<u8>>(digest).await.unwrap(), [1, 2]);
}
