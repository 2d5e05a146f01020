use proptest::prelude::*;

use super::*;
use crate::Digest;

fn key() -> Key {
    Key::new("compile/x86".parse().unwrap(), Digest::of("key"))
}

#[test]
fn lengths_invert_each_other() {
    let block = BLOCK;
    for payload in [0, 1, 15, 16, 17, block - 1, block, block + 1, 3 * block, 3 * block + 5, 1 << 40] {
        assert_eq!(Envelope::payload_len(Envelope::sealed_len(payload)), Some(payload));
    }
    let possible = (0..200_000).filter_map(Envelope::payload_len).count();
    let sealed_up_to = (0..200_000).filter(|payload| Envelope::sealed_len(*payload) < 200_000).count();
    assert_eq!(possible, sealed_up_to);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_noticed() {
    let sealed = Envelope::seal(&key(), &BlobName::DATA, b"twenty bytes of data");
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut bad = sealed.clone();
            bad[at] ^= 1 << bit;
            assert!(Envelope::open(&key(), &BlobName::DATA, &bad.into()).is_err(), "byte {at} bit {bit}");
        }
        let short = Bytes::copy_from_slice(&sealed[..at]);
        assert!(Envelope::open(&key(), &BlobName::DATA, &short).is_err(), "cut at {at}");
    }
}

#[test]
fn a_footer_tells_the_length_of_its_payload_alone() {
    let sealed = Envelope::seal(&key(), &BlobName::DATA, b"payload");
    let footer = &sealed[sealed.len() - Envelope::FOOTER_BYTES..];
    assert!(Envelope::footer_tells(footer, 7) && !Envelope::footer_tells(footer, 8));
    assert!(!Envelope::footer_tells(&footer[1..], 7) && !Envelope::footer_tells(&[0; 48], 0));
}

#[test]
fn bytes_of_another_blob_are_refused() {
    let sealed = Bytes::from(Envelope::seal(&key(), &BlobName::DATA, b"payload"));
    let other_name = BlobName::new("stdout").unwrap();
    let other_digest = Key::new(key().namespace, Digest::of("other"));
    let other_namespace = Key::from(key().digest);
    assert!(Envelope::open(&key(), &BlobName::DATA, &sealed).is_ok());
    for (key, name) in
        [(key(), other_name), (other_digest, BlobName::DATA), (other_namespace, BlobName::DATA)]
    {
        assert_eq!(Envelope::open(&key, &name, &sealed).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let mut sealed = Envelope::seal(&key(), &BlobName::DATA, b"payload");
    sealed[8] = 2;
    let sum = xxh3_128(&sealed[..32]).to_le_bytes();
    sealed[32..48].copy_from_slice(&sum);
    let error = Envelope::open(&key(), &BlobName::DATA, &sealed.into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn stored_bytes_are_pinned() {
    let sealed = Envelope::seal(&key(), &BlobName::DATA, b"golden");
    assert_eq!(const_hex::encode(sealed), include_str!("golden-v1.hex").trim());
}

proptest! {
    #[test]
    fn pieces_seal_as_the_whole(
        seed in any::<u64>(),
        len in 0..200_000_usize,
        cuts in prop::collection::vec(0..200_000_usize, 0..6),
    ) {
        let mut payload = vec![0; len];
        fastrand::Rng::with_seed(seed).fill(&mut payload);
        let mut sealer = Sealer::new(&key(), &BlobName::DATA);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(payload.len())).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        for cut in cuts.windows(2) {
            sealer.update(&payload[cut[0]..cut[1]]);
        }
        let mut sealed = sealer.header().to_vec();
        sealed.extend_from_slice(&payload);
        let (trailer, checksum) = sealer.finish();
        sealed.extend_from_slice(&trailer);
        prop_assert_eq!(&sealed, &Envelope::seal(&key(), &BlobName::DATA, &payload));
        prop_assert_eq!(checksum, Checksum::of(&payload));
        let (opened, found) = Envelope::open(&key(), &BlobName::DATA, &sealed.into()).unwrap();
        prop_assert_eq!((opened.as_ref(), found), (payload.as_slice(), checksum));
    }
}
