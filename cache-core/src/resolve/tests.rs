use super::*;
use crate::{Cache, KeyManagement, StoreExt, toy::Toy};

/// A digest that begins with `start` and ends with `end`.
fn digest(start: &str, end: &str) -> Digest {
    format!("{start}{end:0>width$}", width = 64 - start.len()).parse().unwrap()
}

fn root() -> Namespace {
    Namespace::root()
}

#[tokio::test]
async fn expand_lists_no_more_than_two_candidates() {
    let toy = Toy::holding((0..500).map(|n| digest("abcd", &format!("{n:x}"))));
    let error = toy.expand(&root(), "abcd".parse().unwrap()).await.unwrap_err();
    assert_eq!(toy.asked(), (1, 2));
    let found = error.ambiguity().unwrap();
    assert_eq!((found.first, found.second), (digest("abcd", "0"), digest("abcd", "1")));
    assert_eq!(found.needed_digits(), 64);
}

#[tokio::test]
async fn expand_of_a_full_digest_lists_nothing() {
    let toy = Toy::default();
    let digest = Digest::of("absent");
    assert_eq!(toy.expand(&root(), digest.into()).await.unwrap(), digest);
    assert_eq!(toy.asked(), (0, 0));
}

#[tokio::test]
async fn shrink_inverts_expand_whenever_it_succeeds() {
    let mut digests: Vec<Digest> = (0..300_u32).map(|n| Digest::of(n.to_le_bytes())).collect();
    digests.extend([digest("aaaa1", "1"), digest("aaaa2", "2"), digest("aaaa1b", "3"), digest("ffff", "0")]);
    let toy = Toy::holding(digests.clone());
    for digest in &digests {
        let short = toy.shrink(&Key::from(*digest)).await.unwrap();
        assert!(short.len() >= 4);
        assert_eq!(toy.expand(&root(), short.into()).await.unwrap(), *digest);
        let shorter = digest.prefix(short.len() - 1);
        if shorter.len() >= 4 {
            assert!(toy.expand(&root(), shorter.into()).await.is_err(), "{short} is not the shortest");
        }
    }
}

#[tokio::test]
async fn twins_that_share_63_digits_have_no_short_form() {
    let (a, b) = (digest("ab", "1"), digest("ab", "2"));
    let toy = Toy::holding([a, b, digest("ab", "3")]);
    for twin in [a, b, digest("ab", "3")] {
        let error = toy.shrink(&Key::from(twin)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
    }
    let error = toy.expand(&root(), a.prefix(63).into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    let absent = toy.shrink(&Key::from(digest("ab", "4"))).await.unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn one_entry_shrinks_to_the_minimum() {
    let toy = Toy::holding([digest("ab", "1")]);
    assert_eq!(toy.shrink(&Key::from(digest("ab", "1"))).await.unwrap().to_string(), "ab00");
}

#[tokio::test]
async fn shrinking_few_keys_never_lists_everything_and_many_list_once() {
    let digests: Vec<Digest> = (0..2_000_u32).map(|n| Digest::of(n.to_le_bytes())).collect();
    let toy = Toy::holding(digests.clone());
    let few = toy.shrink_all(&root(), &digests[..8]).await.unwrap();
    let (listings, listed) = toy.asked();
    assert!(listed <= 2 * listings && listed < 200, "{listings} listings of {listed} entries");
    let many = toy.shrink_all(&root(), &digests).await.unwrap();
    assert_eq!(toy.asked(), (1, 2_000));
    assert_eq!(many[..8], few);
    for (short, digest) in many.iter().zip(&digests) {
        assert_eq!(toy.expand(&root(), (*short).into()).await.unwrap(), *digest);
    }
}

#[tokio::test]
async fn many_keys_tell_absence_and_ambiguity_too() {
    let mut digests: Vec<Digest> = (0..40_u32).map(|n| Digest::of(n.to_le_bytes())).collect();
    let toy = Toy::holding(digests.iter().copied().chain([digest("ab", "1"), digest("ab", "2")]));
    digests.push(digest("ab", "1"));
    assert_eq!(toy.shrink_all(&root(), &digests).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    digests.pop();
    digests.push(Digest::of("absent"));
    assert_eq!(toy.shrink_all(&root(), &digests).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_handle_refuses_digests_that_are_too_short() {
    let cache = Cache::new(std::sync::Arc::new(Toy::holding([digest("abcd", "1")])));
    let short: KeyRef = "abc".parse().unwrap();
    for error in [
        cache.get(short).await.unwrap_err(),
        cache.contains(short).await.unwrap_err(),
        cache.evict(short).await.unwrap_err(),
        cache.expand(short).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("too short"), "{error}");
    }
    let lenient = cache.with_min_digits(2);
    assert_eq!(lenient.expand("ab".parse::<KeyRef>().unwrap()).await.unwrap(), digest("abcd", "1"));
    assert_eq!(lenient.shrink(digest("abcd", "1")).await.unwrap().to_string(), "ab");
}

#[tokio::test]
async fn short_digests_go_through_one_normalisation() {
    let toy = Toy::holding([digest("abcd", "1"), digest("abce", "1"), digest("1234", "5")]);
    let (ambiguous, unknown, known): (KeyRef, KeyRef, KeyRef) =
        ("abc".parse().unwrap(), "ffff".parse().unwrap(), "1234".parse().unwrap());
    let namespace = root();
    let get =
        |digest| toy.get_short(&namespace, digest, &crate::BlobName::DATA, crate::GetOptions::default());
    assert_eq!(get(ambiguous).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    assert!(get(unknown).await.unwrap().is_none() && get(known).await.unwrap().is_some());
    assert_eq!(toy.contains_short(&root(), ambiguous).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    assert!(!toy.contains_short(&root(), unknown).await.unwrap());
    assert_eq!(toy.evict_short(&root(), ambiguous).await.unwrap_err().kind(), ErrorKind::Ambiguous);
    toy.evict_short(&root(), unknown).await.unwrap();
    toy.evict_short(&root(), known).await.unwrap();
    assert!(!toy.contains(&Key::from(digest("1234", "5"))).await.unwrap());
}
