use bytes::Bytes;
use cache_core::Digest;
use fastrand::Rng;

/// So many different digests. They are random bytes, as uniform as SHA-256 and cheaper.
pub(crate) fn digests(count: usize, seed: u64) -> Vec<Digest> {
    let mut rng = Rng::with_seed(seed);
    (0..count).map(|_| digest(&mut rng)).collect()
}

/// The next digest.
pub(crate) fn digest(rng: &mut Rng) -> Digest {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    Digest::from_bytes(bytes)
}

/// So many of `digests`, each as likely as any other.
pub(crate) fn any_of(digests: &[Digest], count: usize, rng: &mut Rng) -> Vec<Digest> {
    (0..count).filter_map(|_| rng.choice(digests).copied()).collect()
}

/// A value of its own: nothing of it is shared.
pub(crate) fn value(bytes: usize) -> Bytes {
    Bytes::from(vec![0x5a; bytes])
}

/// A value that no other digest has: it begins with the digest.
pub(crate) fn value_of(digest: &Digest, bytes: usize) -> Bytes {
    let mut value = vec![0x5a; bytes];
    value.iter_mut().zip(digest.as_bytes()).for_each(|(byte, of_digest)| *byte = *of_digest);
    value.into()
}

/// The digest that a number stands for.
pub(crate) fn digest_of(number: usize) -> Digest {
    digest(&mut Rng::with_seed(number as u64))
}
