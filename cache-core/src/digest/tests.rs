use super::*;
use crate::ErrorKind;

#[track_caller]
fn refused(text: &str, why: &str) {
    let error = text.parse::<Digest>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn text_of_a_digest_is_strict() {
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(text.parse::<Digest>().unwrap(), Digest::of("abc"));
    refused("", "has 0");
    refused("abc", "has 3");
    refused(&format!("{text}0"), "has 65");
    refused(&text.to_uppercase(), "upper-case");
    refused(&format!("0x{}", &text[2..]), "'x'");
    refused(&text.replace("ba", "bé").chars().take(63).collect::<String>(), "not a hex digit");
}

#[test]
fn shared_digits_counts_half_bytes() {
    let zero = Digest::from_bytes([0; 32]);
    let mut bytes = [0; 32];
    bytes[1] = 0x10;
    assert_eq!(zero.shared_digits(&Digest::from_bytes(bytes)), 2);
    bytes[1] = 0x01;
    assert_eq!(zero.shared_digits(&Digest::from_bytes(bytes)), 3);
    assert_eq!(zero.shared_digits(&zero), 64);
}

#[test]
fn json_carries_hex() {
    let digest = Digest::of("abc");
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(json, format!("\"{digest}\""));
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    assert!(serde_json::from_str::<Digest>("\"ba78\"").is_err());
}
