#![cfg(all(feature = "json", feature = "msgpack"))]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};

use super::*;
use crate::{
    Error, ErrorKind, Json, MessagePack,
    toy::{Fault, Toy},
};

fn digest() -> Digest {
    Digest::of("k")
}

fn cache() -> Cache {
    Cache::new(Arc::new(Toy::default()))
}

fn counted(cache: &Cache) -> (u64, u64, u64, u64, u64) {
    let metrics = cache.metrics();
    (metrics.hits, metrics.misses, metrics.mismatches, metrics.errors, metrics.corrupt)
}

/// Encodes in no codec.
#[derive(Debug, Deserialize)]
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not today"))
    }
}

/// Tells how often it was decoded in this test.
static DECODED: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Serialize)]
struct Counted(u8);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::Relaxed);
        u8::deserialize(deserializer).map(Self)
    }
}

#[tokio::test]
async fn value_comes_back_as_it_was_and_is_one_hit() {
    let cache = cache();
    let typed = cache.typed::<Vec<(String, f64)>, MessagePack>();
    assert_eq!(typed.get(digest()).await.unwrap(), None);
    let value = vec![("a".to_owned(), 0.5)];
    assert!(typed.put(digest(), &value).await.unwrap().is_stored());
    assert_eq!(typed.get(digest()).await.unwrap(), Some(value.clone()));
    assert_eq!(typed.get(digest().prefix(6)).await.unwrap(), Some(value.clone()));
    assert_eq!(counted(&cache), (2, 1, 0, 0, 0));
    let stored = cache.get(digest()).await.unwrap().unwrap().len() as u64;
    assert_eq!(cache.metrics().bytes_out, 3 * stored);
    assert!(typed.contains(digest()).await.unwrap());
    typed.evict(digest()).await.unwrap();
    assert!(!typed.contains(digest()).await.unwrap());
}

#[tokio::test]
async fn none_as_a_value_is_a_hit() {
    let cache = cache();
    let typed = cache.typed::<Option<u8>, Json>();
    typed.put(digest(), &None).await.unwrap();
    assert_eq!(typed.get(digest()).await.unwrap(), Some(None));
    let kept = typed.get_or_compute(digest(), || async { Ok::<_, Error>(Some(1)) }).await.unwrap();
    assert_eq!(kept, None);
    assert_eq!(counted(&cache), (2, 0, 0, 0, 0));
}

#[tokio::test]
async fn value_that_cannot_be_encoded_is_refused_and_nothing_is_stored() {
    let cache = cache();
    cache.put(digest(), "older").await.unwrap();
    let typed = cache.typed::<Stubborn, Json>();
    let error = typed.put(digest(), &Stubborn).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Codec, Some(&cache.key(digest()))));
    assert!(error.to_line().contains("not today") && !error.to_string().contains("not today"), "{error}");
    assert_eq!(cache.get(digest()).await.unwrap().as_deref(), Some(b"older".as_slice()));
    let keys = std::collections::BTreeMap::from([(vec![1_u8], 1_u8)]);
    assert_eq!(cache.typed_with(Json).put(digest(), &keys).await.unwrap_err().kind(), ErrorKind::Codec);
    let error = typed.get_or_compute(Digest::of("new"), || async { Ok::<_, Error>(Stubborn) }).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Codec);
    assert!(!cache.contains(Digest::of("new")).await.unwrap());
}

/// What another handle put is one counted miss, or an error on request; and is computed anew.
async fn check_mismatch(put: impl AsyncFnOnce(&Cache)) {
    let cache = cache();
    put(&cache).await;
    let typed = cache.typed::<u32, Json>().with_schema(2);
    assert_eq!(typed.get(digest()).await.unwrap(), None);
    assert_eq!(counted(&cache), (0, 1, 1, 0, 0));
    assert_eq!(cache.metrics().bytes_out, 0);
    assert_eq!(typed.load(digest()).await.unwrap_err().kind(), ErrorKind::NotFound);

    let before = cache.metrics();
    let asking = typed.clone().report_mismatch();
    let error = asking.get(digest()).await.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Codec, Some(&cache.key(digest()))));
    assert_eq!(asking.load(digest()).await.unwrap_err().kind(), ErrorKind::Codec);
    let since = cache.metrics().since(&before);
    assert_eq!((since.hits, since.misses, since.mismatches, since.errors), (0, 2, 2, 0));
    let computed = asking.get_or_compute(digest(), || async { Ok::<_, Error>(7) }).await;
    assert_eq!(computed.unwrap_err().kind(), ErrorKind::Codec);

    let before = cache.metrics();
    let computed = typed.get_or_compute(digest(), || async { Ok::<_, Error>(7) }).await.unwrap();
    let since = cache.metrics().since(&before);
    assert_eq!((computed, since.hits, since.misses, since.mismatches), (7, 0, 1, 1));
    assert_eq!(typed.get(digest()).await.unwrap(), Some(7));
}

#[tokio::test]
async fn raw_blob_is_a_counted_miss() {
    check_mismatch(async |cache| _ = cache.put(digest(), "7").await.unwrap()).await;
}

#[tokio::test]
async fn value_of_another_codec_is_a_counted_miss() {
    check_mismatch(async |cache| {
        _ = cache.typed::<u32, MessagePack>().with_schema(2).put(digest(), &7).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn value_of_another_schema_is_a_counted_miss() {
    check_mismatch(async |cache| _ = cache.typed::<u32, Json>().put(digest(), &7).await.unwrap()).await;
}

#[tokio::test]
async fn value_of_another_type_is_a_counted_miss() {
    check_mismatch(async |cache| {
        let texts = cache.typed::<String, Json>().with_schema(2);
        _ = texts.put(digest(), &"seven".to_owned()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn load_of_an_absent_value_tells_namespace_and_digest() {
    let typed = cache().typed::<u32, Json>().namespace("compile").unwrap();
    let error = typed.load(digest()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, "load"));
    assert!(error.to_string().contains(&format!("compile/{}", digest())), "{error}");
    let error = typed.load(digest().prefix(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("compile"), "{error}");
    assert!(error.to_string().contains(&digest().prefix(10).to_string()), "{error}");
    assert_eq!(typed.load(digest().prefix(3)).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn ambiguous_short_digest_is_an_error_in_every_form() {
    let mut bytes = *digest().as_bytes();
    bytes[31] ^= 1;
    let toy = Toy::holding([digest(), Digest::from_bytes(bytes)]);
    let typed = Cache::new(Arc::new(toy)).typed::<u32, Json>();
    let short = digest().prefix(20);
    for error in [
        typed.get(short).await.map(|_| ()).unwrap_err(),
        typed.load(short).await.map(|_| ()).unwrap_err(),
        typed.contains(short).await.map(|_| ()).unwrap_err(),
        typed.evict(short).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
    }
}

#[tokio::test]
async fn namespaces_do_not_share_values() {
    let typed = cache().typed::<u32, Json>().with_schema(4);
    let view = typed.namespace("ns").unwrap();
    view.put(digest(), &1).await.unwrap();
    assert_eq!(typed.get(digest()).await.unwrap(), None);
    assert_eq!(view.get(digest()).await.unwrap(), Some(1));
    assert_eq!(view.cache().address().to_string(), "ns");
    assert_eq!(typed.namespace("..").unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn computed_value_is_stored_and_a_hit_computes_nothing() {
    let typed = cache().typed::<u32, Json>();
    let calls = Arc::new(AtomicUsize::new(0));
    for _ in 0..3 {
        let calls = Arc::clone(&calls);
        let compute = move || async move {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok::<_, io::Error>(5)
        };
        assert_eq!(typed.get_or_compute(digest(), compute).await.unwrap(), 5);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(counted(typed.cache()), (2, 1, 0, 0, 0));
}

#[tokio::test]
async fn hit_of_get_or_compute_decodes_once() {
    let typed = cache().typed::<Counted, Json>();
    typed.put(digest(), &Counted(9)).await.unwrap();
    let value = typed.get_or_compute(digest(), || async { Err::<Counted, _>("not called") }).await.unwrap();
    assert_eq!((value.0, DECODED.load(Ordering::Relaxed)), (9, 1));
}

#[tokio::test]
async fn failed_computation_keeps_its_cause_and_stores_nothing() {
    let typed = cache().typed::<u32, Json>();
    let error = typed.get_or_compute(digest(), || async { Err(io::Error::other("no compiler")) }).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Compute, Some(&typed.cache().key(digest()))));
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    assert_eq!(cause.map(ToString::to_string).as_deref(), Some("no compiler"));
    assert!(!error.to_string().contains("no compiler"), "{error}");
    assert!(!typed.contains(digest()).await.unwrap());
    let error = typed.get_or_compute(digest(), || async { Err("a text will do") }).await.unwrap_err();
    assert!(error.to_line().ends_with("a text will do"), "{}", error.to_line());
}

#[tokio::test]
async fn value_that_does_not_survive_its_codec_is_an_error_and_never_wrong() {
    let typed = cache().typed::<f64, Json>();
    typed.put(digest(), &f64::NAN).await.unwrap();
    assert_eq!(typed.get(digest()).await.unwrap(), None);
    let error = typed.get_or_compute(digest(), || async { Ok::<_, Error>(f64::NAN) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
}

#[tokio::test]
async fn damage_is_a_miss_and_no_mismatch() {
    let cache = Cache::new(Arc::new(Toy::default().with_fault(Fault::Corrupt)));
    assert_eq!(cache.typed::<u32, Json>().get(digest()).await.unwrap(), None);
    assert_eq!(counted(&cache), (0, 1, 0, 0, 1));
    let asking = cache.clone().report_corruption().typed::<u32, Json>();
    assert_eq!(asking.get(digest()).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn handle_needs_nothing_of_its_values() {
    struct Opaque(#[expect(dead_code, reason = "neither Clone nor Debug nor Sync")] std::rc::Rc<()>);
    fn shared<T: Clone + fmt::Debug + Send + Sync + 'static>(_: &T) {}
    shared(&cache().typed::<Opaque, Json>());
}

/// Panics on every value.
#[derive(Clone, Debug, Default)]
struct Panicking;

impl Codec for Panicking {
    fn id(&self) -> crate::CodecId {
        crate::CodecId::custom(*b"pnc")
    }

    fn encode<T>(&self, _: &T, _: &mut Vec<u8>) -> Result<(), Box<dyn StdError + Send + Sync>>
    where
        T: Serialize + ?Sized,
    {
        panic!("no encoder")
    }

    fn decode<T: DeserializeOwned>(&self, _: &[u8]) -> Result<T, Box<dyn StdError + Send + Sync>> {
        panic!("no decoder")
    }
}

#[tokio::test]
async fn codec_that_panics_is_a_codec_that_fails() {
    let cache = cache();
    let typed = cache.typed::<u32, Panicking>();
    let error = typed.put(digest(), &1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_line().contains("no encoder"), "{}", error.to_line());
    let computed = typed.get_or_compute(digest(), || async { Ok::<_, Error>(7) }).await;
    assert_eq!(computed.unwrap_err().kind(), ErrorKind::Codec);
    assert!(!cache.contains(digest()).await.unwrap());

    let blob = b"\x8eCTV\x01\0\0\0xpnc\0\0\0\0".as_slice();
    cache.put(digest(), blob).await.unwrap();
    let before = cache.metrics();
    assert_eq!(typed.get(digest()).await.unwrap(), None);
    let since = cache.metrics().since(&before);
    assert_eq!((since.hits, since.misses, since.mismatches), (0, 1, 1));
    assert_eq!(typed.report_mismatch().get(digest()).await.unwrap_err().kind(), ErrorKind::Codec);
}

#[tokio::test]
async fn callers_of_many_schemas_at_once_each_get_their_value() {
    let cache = cache();
    let callers = (0..20).map(|schema| {
        let typed = cache.typed::<u32, Json>().with_schema(schema);
        async move {
            let compute = move || async move {
                tokio::task::yield_now().await;
                Ok::<_, Error>(schema)
            };
            typed.get_or_compute(digest(), compute).await
        }
    });
    let found = futures::future::join_all(callers).await;
    let found: Vec<u32> = found.into_iter().map(Result::unwrap).collect();
    assert_eq!(found, (0..20).collect::<Vec<_>>());
    let metrics = cache.metrics();
    // They compute apart, so none has to look at what another one stored.
    assert_eq!((metrics.hits, metrics.misses, metrics.errors), (0, 20, 0));
    assert_eq!((metrics.computes, metrics.coalesced), (20, 0), "nobody was answered by another");
}

#[tokio::test]
async fn mismatch_that_is_asked_for_is_never_a_hit() {
    let cache = cache();
    cache.put(digest(), "raw").await.unwrap();
    let asking = cache.typed::<u32, Json>().report_mismatch();
    asking.get(digest()).await.unwrap_err();
    let got = counted(&cache);
    assert_eq!((got, cache.metrics().bytes_out), ((0, 1, 1, 0, 0), 0));
    let computed = asking.get_or_compute(digest(), || async { Ok::<_, Error>(7) }).await;
    assert_eq!(computed.unwrap_err().kind(), ErrorKind::Codec);
    assert_eq!((counted(&cache), cache.metrics().bytes_out), ((0, 2, 2, 0, 0), 0));
}

#[tokio::test]
async fn computed_value_that_does_not_survive_its_codec_is_not_stored() {
    let typed = cache().typed::<f64, Json>();
    let computed = typed.get_or_compute(digest(), || async { Ok::<_, Error>(f64::NAN) }).await;
    assert_eq!(computed.unwrap_err().kind(), ErrorKind::Codec);
    assert!(!typed.contains(digest()).await.unwrap());
}
