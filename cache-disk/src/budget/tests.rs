use super::*;

#[test]
fn the_limits_are_apart_where_there_is_room_and_never_pass_the_largest_number() {
    assert_eq!((low_watermark(3200), hard_limit(3200)), (3100, 3360));
    assert_eq!((low_watermark(0), hard_limit(0)), (0, 0));
    assert_eq!((low_watermark(1), hard_limit(1)), (1, 1));
    assert_eq!(hard_limit(u64::MAX), u64::MAX);
}
