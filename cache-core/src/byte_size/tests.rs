use super::*;

#[track_caller]
fn check(text: &str, expected: u64) {
    assert_eq!(text.parse::<ByteSize>().map(ByteSize::bytes).unwrap(), expected, "{text:?}");
}

#[test]
fn sizes_are_powers_of_1000_or_1024() {
    check("0", 0);
    check("1024", 1024);
    check(" 12 b ", 12);
    check("2KB", 2_000);
    check("3mB", 3_000_000);
    check("50GB", 50_000_000_000);
    check("1TB", 1_000_000_000_000);
    check("1KiB", 1 << 10);
    check("1.5MiB", 3 << 19);
    check("0.5 gib", 1 << 29);
    check("2 TiB", 2 << 40);
    check("2.25KB", 2_250);
}

#[test]
fn everything_else_is_refused() {
    for text in [
        "",
        " ",
        "KB",
        "-1",
        "+1",
        "1.5",
        "1.",
        ".5KB",
        "1..5KB",
        "1.5.5KB",
        "1k",
        "1 M",
        "1e3",
        "1_000",
        "0x10",
        "1 KB KB",
        "12 34",
        "1,5KB",
        "99999999999999999999",
        "20000000TB",
        "NaN",
        "١KB",
        "0.0001KB",
        "1PiB",
    ] {
        assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
    }
}

#[test]
fn display_is_human_readable_and_reads_back() {
    for (bytes, text) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (1 << 30, "1.0 GiB"),
        (3 << 50, "3072.0 TiB"),
    ] {
        assert_eq!(ByteSize::new(bytes).to_string(), text);
    }
    check(&ByteSize::new(5 << 40).to_string(), 5 << 40);
}

#[test]
fn serde_takes_numbers_and_texts() {
    assert_eq!(serde_json::from_str::<ByteSize>("\"1KB\"").unwrap().bytes(), 1000);
    assert_eq!(serde_json::from_str::<ByteSize>("7").unwrap().bytes(), 7);
    assert!(serde_json::from_str::<ByteSize>("-7").is_err());
    assert!(serde_json::from_str::<ByteSize>("\"seven\"").is_err());
}
