use super::*;

fn records() -> [Record<'static>; 3] {
    let held = Held { bytes: 1000, used: Used(1_700_000_000_123_456_789) };
    [
        Record { namespace: "", digest: Digest::from_bytes([0xab; 32]), held: Some(held) },
        Record { namespace: "~team/~x86", digest: Digest::from_bytes([0xab; 32]), held: Some(held) },
        Record { namespace: "~team/~x86", digest: Digest::from_bytes([0xab; 32]), held: None },
    ]
}

#[test]
fn a_log_is_pinned_byte_for_byte() {
    let mut log = super::super::log::HEADER.to_vec();
    for record in records() {
        record.encode(&mut log);
    }
    assert_eq!(hex(&log), include_str!("../golden-log-v1.hex").split_whitespace().collect::<String>());
    let mut rest = &log[16..];
    for record in records() {
        let (found, len) = Record::decode(rest).unwrap();
        assert_eq!(found, record);
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_record_that_is_cut_off_or_changed_is_none() {
    for record in records() {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..len]), None);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            changed.resize(1000, 0);
            assert_eq!(Record::decode(&changed), None, "byte {at}");
        }
    }
    assert_eq!(Record::decode(&[0; 1000]), None);
}

#[test]
fn times_keep_their_order_however_far_away_they_are() {
    let at = |seconds: i64| {
        let duration = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        Used::from(if seconds < 0 { epoch - duration } else { epoch + duration })
    };
    assert_eq!((at(-1), at(0), at(1)), (Used(-1_000_000_000), Used(0), Used(1_000_000_000)));
    assert_eq!((at(-1 << 40), at(1 << 40)), (Used(-i64::MAX), Used(i64::MAX)));
}
