use super::*;

#[track_caller]
fn check(rows: &[(u64, u64)], pages: u64) {
    let mut leaves = Leaves::default();
    rows.iter().for_each(|(key_len, value_len)| leaves.row(*key_len, *value_len));
    let above = leaves.above.next_multiple_of(PAGE);
    assert_eq!((leaves.bytes() - above) / PAGE, pages);
}

#[test]
fn rows_fill_pages_in_order() {
    check(&[], 0);
    check(&[(8, 0)], 1);
    // 4096 = 4 + 2 * (8 + 38 + 2000)
    check(&[(38, 2000); 2], 1);
    check(&[(38, 2000), (38, 2001)], 2);
    check(&[(38, 2000); 7], 4);
    // A large row has pages of its own, and closes the page before it.
    check(&[(10, 10), (10, 5000), (10, 10)], 4);
    check(&[(10, 9000), (10, 9000)], 8);
}

#[test]
fn chunk_fills_its_pages() {
    let mut leaves = Leaves::default();
    leaves.rows(4, 12, CHUNK as u64);
    assert_eq!(leaves.bytes, 4 * 256 * 1024);
    let mut one_by_one = Leaves::default();
    (0..4).for_each(|_| one_by_one.row(12, CHUNK as u64));
    assert_eq!(one_by_one.bytes(), leaves.bytes());
    leaves.rows(1, 12, 100);
    assert_eq!(leaves.open, 120);
}
